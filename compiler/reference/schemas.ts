/**
 * Schemas of nodes whose kind is the interpreter's own: `map`, `subworkflow`, `wait`, `human`. Those
 * of all others are their handlers' business.
 */
import type { IrNode, Json } from "../ir.ts";
import { badInput } from "./prepare.ts";
import type { HandlerResult, HandlerTable } from "./types.ts";

/** The failure of a node whose input does not fit; undefined: it does. */
export function inputProblem(
  { misfit }: HandlerTable,
  node: IrNode,
  data: Json,
): HandlerResult | undefined {
  const wrong = node.input_schema === undefined ? null : misfit?.(node.input_schema, data);
  if (wrong === null || wrong === undefined) return undefined;
  return badInput(node, "its input does not fit input_schema:", wrong);
}

/** The result, or the failure of a node whose output does not fit. */
export function fittingResult(
  { misfit }: HandlerTable,
  node: IrNode,
  result: HandlerResult,
): HandlerResult {
  if (node.output_schema === undefined || !("output" in result)) return result;
  const wrong = misfit?.(node.output_schema, result.output) ?? null;
  if (wrong === null) return result;
  const message = `node "${node.id}" (${node.type}): its output does not fit output_schema: ${wrong}`;
  return { error: { code: "BAD_OUTPUT", message } };
}
