/**
 * Parts of generated maps. All items are objects, because all that bodies read of their input are
 * fields; and whether elements fail depends on nothing but their items.
 */
import type { Json } from "../../compiler/ir.ts";
import { ctxOf } from "./draft.ts";
import type { DraftNode, JsonObject } from "./draft.ts";
import type { MapPlan } from "./plan.ts";
import { call } from "./tasks.ts";

/** Elements of a map, at most: as many as the input's list has. */
export const ELEMENTS_MAX = 4;

const ITEMS = {
  input: 'input.list.map(x, {"count": x})',
  data: "[data, {}]",
  none: "[]",
} as const;

/** Config of a map, without its body. `canTakeData`: what comes over its in-edges is small. */
export function mapConfig(plan: MapPlan, canTakeData: boolean): JsonObject {
  const { k, window, fails } = plan;
  const kind = plan.items === "data" && !canTakeData ? "input" : plan.items;
  const items: Json =
    kind === "literal" ? [{ count: k }, { count: "${input.n}" }, { k }] : ITEMS[kind];
  // With one element at a time it is certain which failure is one too many.
  const most = fails === "too many" ? 1 : window;
  const tolerated = fails === "tolerated" ? ELEMENTS_MAX : fails === "too many" ? k % 2 : 0;
  return {
    items: typeof items === "string" && k % 2 === 0 ? `\${${items}}` : items,
    ...(most === 0 ? {} : { max_concurrency: most }),
    ...(tolerated === 0 ? {} : { tolerated_failures: tolerated }),
  };
}

/** Begins a body of which some elements fail: nothing else of them is in progress then. */
export function failingEntry({ k }: MapPlan): { type: string; config: JsonObject } {
  const odd = `(has(item.count) ? item.count : index) % 2 == ${k % 2}`;
  const params = { code: `M${k}`, message: "element ${index}", when: `\${${odd}}` };
  return { type: "function", config: call("builtin.fail", params) };
}

/** `output` of a body: small, and read from a node that may have been skipped. */
export function bodyOutput(ids: readonly string[], k: number): JsonObject {
  const node = `${ctxOf(ids[k % ids.length] ?? "")}.output`;
  return { at: "${index}", n: "${input.n}", seen: `\${has(${node}) ? 1 : 0}` };
}

/** Makes an object of the list, and of the errors if there are any. */
export function mapWrap({ id, config }: DraftNode): { type: string; config: JsonObject } {
  const hasErrors = config["tolerated_failures"] !== undefined;
  const errors: JsonObject = hasErrors ? { errors: `\${${ctxOf(id)}.errors}` } : {};
  return { type: "transform", config: { expression: { all: "${data}", ...errors } } };
}
