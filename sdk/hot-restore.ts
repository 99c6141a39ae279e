/** A hot state as a redrive leaves it: the fields of the run hash that it changed, read back. */
import type { Json } from "../compiler/ir.ts";
import { parseRecord } from "./entry.ts";
import type { HotState } from "./hot-state.ts";
import type { Redriven } from "./journal.ts";
import { lastChild } from "./waits.ts";

/** Applies what run.redriven says. */
export function restore(state: HotState, { f, due = {}, ch = {}, set = {}, sg }: Redriven): void {
  state.answers.clear();
  restoreFields(state, f);
  for (const [node, dueMs] of Object.entries(due)) {
    const token = state.tokens.get(Number(node));
    if (token !== undefined) {
      token.timer = { dueMs, kind: token.state === "r" ? "emit" : "resume" };
    }
  }
  state.over.clear();
  Object.entries(ch).forEach(([node, text]) => state.over.set(Number(node), text));
  state.signals.restore(sg);
  for (const [node, answer] of Object.entries(set)) {
    const token = state.tokens.get(Number(node));
    if (token !== undefined) {
      token.answer = answer;
      token.isResumed = true;
    }
  }
}

/**
 * Drops what a redriven run does not need of the waits before: answers, since who repeats one is refused
 * by the wait's secret, and that they are over - except of an open step that has started a run
 * without waiting for it, which its next attempt ends before it starts its own.
 */
export function forgetAnswers(state: HotState): void {
  state.answers.clear();
  for (const [node, text] of state.over) {
    const token = state.tokens.get(node);
    if (token?.state !== "a" || lastChild(text, token.scope) === undefined) {
      state.over.delete(node);
    }
  }
}

/** Puts fields of the run hash back; null: gone. */
export function restoreFields(
  state: HotState,
  fields: { readonly [field: string]: string | null },
): void {
  for (const [field, text] of Object.entries(fields)) {
    restoreField(state, field, text);
  }
}

function restoreField(state: HotState, field: string, text: string | null): void {
  const node = Number(field.slice(1));
  const put = (map: Map<number, string>): void =>
    void (text === null ? map.delete(node) : map.set(node, text));
  switch (field === "nf" ? "nf" : field[0]) {
    case "nf":
      state.failed.splice(0, state.failed.length, ...(text ?? "").split(",").flatMap(indexes));
      break;
    case "n":
      restoreToken(state, node, text);
      break;
    case "j":
      restoreJoin(state, node, text);
      break;
    case "l":
      put(state.rounds);
      break;
    case "i":
      put(state.inputs);
      break;
    case "m":
      put(state.mapScopes);
      break;
    case "e":
      put(state.mapErrors);
      break;
    default:
      put(state.edited);
  }
}

function indexes(text: string): number[] {
  return text === "" ? [] : [Number(text)];
}

function restoreToken(state: HotState, node: number, text: string | null): void {
  state.maps.delete(node); // a map that was under way begins anew
  const record = parseRecord(text);
  if (record === null) {
    state.tokens.delete(node);
  } else {
    state.tokens.set(node, { ...record, timer: null, isResumed: false });
  }
}

function restoreJoin(state: HotState, node: number, text: string | null): void {
  if (text === null) {
    state.joins.delete(node);
    return;
  }
  const [scope = "", live, decided, failed, arrivals = ""] = text.split("|");
  state.joins.set(node, {
    ...{ scope, arrivals, live: Number(live), decided: Number(decided), failed: Number(failed) },
  });
}

/** Field `o<node>`: an input given by hand, for the token of this scope. */
export function editedInput(scope: string, input: Json): string {
  return `${scope}|${JSON.stringify(input)}`;
}

/** The input given by hand for a token of this scope, as JSON text; null: there is none. */
export function readEditedInput(field: string | null | undefined, scope: string): string | null {
  const border = field?.indexOf("|") ?? -1;
  return border >= 0 && field?.slice(0, border) === scope ? field.slice(border + 1) : null;
}
