/**
 * Tokens that wait and what ends their waits, folded from the journal: fields `a<node>`, `w<node>`
 * and `o<node>` of a unit's hash. A part of hot-state.ts.
 *
 * An answer is kept under the secret of its wait: who repeats one is told so, until another wait of
 * the node has taken its place. That a wait is over is kept until the node waits again, or begins anew.
 */
import { editedInput } from "./hot-restore.ts";
import type { HotState } from "./hot-state.ts";
import type { Transition } from "./journal.ts";
import {
  lastChild,
  parseWaitToken,
  waitOver,
  type Decision,
  type ManualAnswer,
  type WaitAnswer,
  type WaitInfo,
} from "./waits.ts";

/** node.parked: for a circuit, for a time, or for what somebody has to say. */
export function park({ over, tokens }: HotState, t: Transition, node: number, tMs: number): void {
  const { due, circuit, a: attempt = 1 } = t;
  if (circuit !== undefined) {
    tokens.wait(node, "r", attempt, { kind: "emit", dueMs: due ?? tMs }, circuit);
    over.delete(node); // it begins anew
    return;
  }
  if (typeof t.w !== "object") {
    tokens.wait(node, "w", attempt, { kind: "resume", dueMs: due ?? tMs });
    return;
  }
  tokens.wait(node, "w", attempt, due === undefined ? null : { kind: "expire", dueMs: due });
  over.delete(node);
  const token = tokens.get(node);
  if (token !== undefined) {
    token.wait = t.w;
  }
}

/** node.activated: its timer has fired, or it is tried again by hand, on another input perhaps. */
export function activate(
  { tokens, edited }: HotState,
  { v, a }: Transition,
  node: number,
  scope: string,
): void {
  tokens.resume(node, false, a);
  const { input } = typeof v === "object" ? (v as Partial<ManualAnswer>) : {};
  if (input !== undefined) {
    edited.set(node, editedInput(scope, input));
  }
}

/** node.resumed: what it waited for has come, or its time is over. */
export function resume(state: HotState, t: Transition, node: number, scope: string): void {
  const { tokens, over } = state;
  const { wait } = tokens.get(node) ?? {};
  const answer = t.v as WaitAnswer | undefined;
  if (answer?.kind === "callback") {
    keepAnswer(state, node, wait, `${JSON.stringify(answer.id)}\x1ec\x1e`);
  }
  tokens.resume(node, true, t.a);
  const child = wait?.kind === "child" ? wait.run : lastChild(over.get(node), scope);
  over.set(node, waitOver(t.a ?? 1, scope, child));
  const token = tokens.get(node);
  if (token !== undefined && answer !== undefined) {
    delete token.wait;
    if (answer.kind === "manual" && answer.action === "skip") {
      tokens.put(node, scope, "k", token.attempt, "D");
    } else {
      token.answer = answer;
    }
  }
}

/** approval.decided: one person's decision, of as many as it takes. */
export function keepDecision(state: HotState, node: number, decision: Decision): void {
  const mode = decision.approved ? "1" : "0";
  const text = `${JSON.stringify(decision.actor)}\x1e${mode}\x1e${JSON.stringify(decision)}`;
  keepAnswer(state, node, state.tokens.get(node)?.wait, text);
}

function keepAnswer(
  { answers }: HotState,
  node: number,
  wait: WaitInfo | undefined,
  answer: string,
): void {
  const secret = parseWaitToken(wait?.token ?? "")?.secret ?? "";
  const before = answers.get(node);
  const others = before?.startsWith(`${secret}\x1f`) === true ? before : secret;
  answers.set(node, `${others}\x1f${answer}`);
}
