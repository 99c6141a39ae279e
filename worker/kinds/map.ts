/**
 * `map`: which elements there are, how many run at a time, and what their results make. Running them
 * is not a worker's business: each is an inner run, chained by the scripts (20 §5).
 */
import type { IrNode, Json } from "../../compiler/ir.ts";
import { compileTemplate } from "../../condition/index.ts";
import type { Template, Vars } from "../../condition/index.ts";
import { MAP_WINDOW_MAX, type MapFailure, type RunError } from "../../sdk/internal.ts";
import { badInput, ExecutionError, fill, perNode } from "./kind.ts";

/** Elements of one map. */
export const MAP_ITEMS_MAX = 100_000;

/** What a failed element leaves in `ctx.<map>.errors`. */
export interface ElementError {
  index: number;
  code: string;
  message: string;
  node: string | null;
}

const itemsOf = perNode<{ template: Template | null }>((node) => {
  const source = node.config["items"];
  return { template: source === undefined ? null : compileTemplate(source) };
});

/** The elements; `data` is the node's input. Throws ExecutionError BAD_INPUT. */
export function mapItems(node: IrNode, vars: Vars, data: Json): Json[] {
  const { template } = itemsOf(node);
  const list = template === null ? data : fill(node, "config.items", template, { ...vars, data });
  if (!Array.isArray(list)) {
    const what = template === null ? "its input" : "config.items";
    throw badInput(node, `${what} must be a list; config.items names one, e.g. "data.rows"`);
  }
  if (list.length > MAP_ITEMS_MAX) {
    throw badInput(node, `${list.length} elements; at most ${MAP_ITEMS_MAX} are run by one map`);
  }
  return list;
}

/** Elements that run at one time. */
export function mapWindow(node: IrNode): number {
  const wanted = node.config["max_concurrency"];
  const limit = typeof wanted === "number" && wanted >= 1 ? wanted : MAP_WINDOW_MAX;
  return Math.min(Math.floor(limit), MAP_WINDOW_MAX);
}

/** Failures that do not fail the map. */
export function toleratedFailures(node: IrNode): number {
  const tolerated = node.config["tolerated_failures"];
  return typeof tolerated === "number" && tolerated > 0 ? Math.floor(tolerated) : 0;
}

/** The node's failure when one element too many has failed, or when its time is over. */
export function mapFailure(failure: MapFailure): ExecutionError {
  const { code, message } = failure.value.error;
  const { index } = failure;
  const text = index === undefined ? message : `element ${index}: ${message}`;
  return new ExecutionError(code, text, { retryable: false });
}

/** An element's error as the map's errors show it. */
export function elementError(index: number, error: RunError): ElementError {
  const { code, message, node } = error;
  return { index, code, message, node: node ?? null };
}
