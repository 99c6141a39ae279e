/** What the config of a node sees, and the failure of a config that does not fit the data. */
import { compileTemplate, EvaluationError } from "../../condition/index.ts";
import type { Vars } from "../../condition/index.ts";
import type { IrNode, Json } from "../ir.ts";
import type { Token } from "./graph-run.ts";
import type { HandlerResult } from "./types.ts";

/** The names that a node's config knows, `config.input` applied to `data`. */
export function prepare(token: Token, node: IrNode): { vars: Vars; problem?: HandlerResult } {
  const vars = { ...token.graph.varsFor(token.frame, node.refs), data: token.data };
  const template = node.config["input"];
  if (template === undefined) return { vars };
  const filled = fill(node, "input", template, vars);
  return "problem" in filled ? { vars, ...filled } : { vars: { ...vars, data: filled.value } };
}

/** A template of the config filled in, or the failure of the node. */
export function fill(
  node: IrNode,
  key: string,
  template: Json,
  vars: Vars,
): { value: Json } | { problem: HandlerResult } {
  try {
    return { value: compileTemplate(template).evaluate(vars) };
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
    return { problem: badInput(node, `config.${key}${error.pointer ?? ""}:`, error.message) };
  }
}

/** The failure of a node whose config or data do not fit its kind: no other attempt mends it. */
export function badInput(node: IrNode, where: string, what: string): HandlerResult {
  const message = `node "${node.id}" (${node.type}): ${where} ${what}`;
  return { error: { code: "BAD_INPUT", message, retryable: false } };
}
