/** A hot state as the fields of the run hash that it stands for (docs/redis-keys.md). */
import type { Json } from "../compiler/ir.ts";
import type { HotState } from "./hot-state.ts";
import type { HotToken } from "./hot-tokens.ts";

/** The fields of the run hash that this state stands for; `more` brings what the journal has not. */
export function hotFields(
  state: HotState,
  more: { epoch: number; irHash: string; input: Json; namespace: string; priority: string },
): { [field: string]: string } {
  return {
    ...unitFields(state, String(more.epoch), more.irHash),
    in: JSON.stringify(more.input),
    m: `${more.namespace}|${more.priority}`,
    t0: String(state.startedMs),
  };
}

/** Whether a field of the run hash says where the run stands, not what it is. */
export function isStateField(field: string): boolean {
  return /^([njlioem]\d+|nf)$/.test(field);
}

/** A field that says where the run or element stands, or its item; null: it has none. */
export function stateField(state: HotState, field: string): string | null {
  const node = Number(field.slice(1));
  switch (field === "it" ? "it" : field[0]) {
    case "it":
      return state.item;
    case "n": {
      const token = state.tokens.get(node);
      return token === undefined ? null : recordText(token);
    }
    case "l":
      return state.rounds.get(node) ?? null;
    case "i":
      return state.inputs.get(node) ?? null;
    case "e":
      return state.mapErrors.get(node) ?? null;
    case "o":
      return state.edited.get(node) ?? null;
    default:
      return null;
  }
}

function recordText({ state, attempt, scope, rest }: HotToken): string {
  return `${state}${attempt}|${scope}|${rest}`;
}

/** The fields that a run and an element of a map have in common. */
export function unitFields(
  state: HotState,
  epoch: string,
  irHash: string,
): { [field: string]: string } {
  const fields: { [field: string]: string } = {
    s: state.status,
    e: epoch,
    c: String(state.counter),
    ir: irHash,
    ...(state.item === null ? {} : { it: state.item }),
  };
  for (const [map, scope] of state.mapScopes) {
    fields[`m${map}`] = scope;
  }
  for (const [map, errors] of state.mapErrors) {
    fields[`e${map}`] = errors;
  }
  for (const [node, token] of state.tokens) {
    fields[`n${node}`] = recordText(token);
  }
  for (const [node, join] of state.joins) {
    const { scope, live, decided, failed, arrivals } = join;
    fields[`j${node}`] = `${scope}|${live}|${decided}|${failed}|${arrivals}`;
  }
  for (const [latch, round] of state.rounds) {
    fields[`l${latch}`] = round;
  }
  for (const [latch, input] of state.inputs) {
    fields[`i${latch}`] = input;
  }
  // What a parked token waits for names its queue: whoever knows that writes field `w<node>`.
  for (const [node, text] of state.over) {
    fields[`w${node}`] = text;
  }
  for (const [node, text] of state.answers) {
    fields[`a${node}`] = text;
  }
  for (const [node, text] of state.edited) {
    fields[`o${node}`] = text;
  }
  if (state.status === "paused") {
    fields["ps"] = state.pauseCauses;
  }
  if (state.failed.length > 0) {
    fields["nf"] = state.failed.join(",");
  }
  return fields;
}
