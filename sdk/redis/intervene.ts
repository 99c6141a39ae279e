/** Typed call of scripts/intervene_token.lua. */
import type { Ir, IrNode, Json } from "../../compiler/ir.ts";
import { BlobTaker } from "../blobs.ts";
import { mapGiven, type ManualAnswer } from "../waits.ts";
import { irAt } from "../unit.ts";
import type { ScriptRunner } from "./script-runner.ts";

export interface Intervention {
  runId: string;
  /** Home of the map element that the node is in, "" outside of maps. */
  home: string;
  node: number;
  /** Null: whichever scope is active. */
  scope: string | null;
  queueKey: string;
  answer: ManualAnswer;
}

/** `state`: of the token's record, "" if the node has none. */
export type InterventionAnswer =
  | { kind: "done"; attempt: number }
  | { kind: "gone" }
  | { kind: "run_refused"; status: string }
  | { kind: "not_open" | "not_retryable"; state: string };

/** Gives a token of a live run what is to become of it; a worker carries it out. */
export async function interveneToken(
  scripts: ScriptRunner,
  order: Intervention,
): Promise<InterventionAnswer> {
  const { runId, home, node, scope, queueKey } = order;
  const large = new BlobTaker();
  const answer = mapGiven(order.answer, (given) => large.value(given)) as ManualAnswer;
  const k = scripts.keys;
  const unit = home === "" ? runId : `${runId}!${home}`;
  const keys = [k.ev, k.meta, k.timers, k.halted, k.run(runId), k.run(unit)];
  keys.push(k.signals(runId), queueKey);
  keys.push(...large.keys(k.blobs(runId)));
  const args = [scripts.nonce(), unit, node, scope ?? "*", answer.action, JSON.stringify(answer)];
  args.push(answer.input === undefined ? "" : JSON.stringify(answer.input), ...large.pairs());
  const reply = (await scripts.transition("interveneToken", keys, args)) as [number, never];
  const [code, more] = reply;
  switch (code) {
    case 0:
      return { kind: "done", attempt: more };
    case -1:
      return { kind: "gone" };
    case -2:
      return { kind: "run_refused", status: more };
    default:
      return { kind: code === -3 ? "not_open" : "not_retryable", state: more };
  }
}

/** A node by its id: of the workflow, or of the body of the map that a home names. */
export function findNode(
  root: Ir,
  id: string,
  home: string,
): { ir: Ir; index: number; node: IrNode } | null {
  const ir = irAt(root, home) ?? root;
  const index = ir.nodes.findIndex((node) => node.id === id);
  const node = ir.nodes[index];
  return node === undefined ? null : { ir, index, node };
}

/** What a manual answer says, for the audit. */
export function outcomeOf(answer: ManualAnswer): Json {
  const { action, output, error, input } = answer;
  return {
    action,
    ...(input === undefined ? {} : { input }),
    ...(output === undefined ? {} : { output }),
    ...(error === undefined ? {} : { error: { ...error } }),
  };
}
