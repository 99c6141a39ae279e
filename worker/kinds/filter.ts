/**
 * `filter`: the elements of a list for which a condition holds.
 */
import type { IrNode, Json } from "../../compiler/ir.ts";
import { compileCondition, compileTemplate, EvaluationError } from "../../condition/index.ts";
import type { Condition, Template, Vars } from "../../condition/index.ts";
import { badInput, fill, perNode } from "./kind.ts";

interface Compiled {
  condition: Condition;
  items: Template | null;
}

const compiledOf = perNode<Compiled>((node) => {
  const { filter_expression: source, items } = node.config;
  if (typeof source !== "string") throw badInput(node, "needs config.filter_expression");
  return {
    condition: compileCondition(source),
    items: items === undefined ? null : compileTemplate(items),
  };
});

/** `data` is the node's input, and the list unless `config.items` names one. */
export function evaluateFilter(node: IrNode, vars: Vars, data: Json): Json {
  const { condition, items } = compiledOf(node);
  // One set of variables for all elements: a condition runs to its end before the next one.
  const own: Vars = { ...vars };
  const list = items === null ? data : fill(node, "config.items", items, own);
  if (!Array.isArray(list)) {
    const what = items === null ? "its input" : "config.items";
    throw badInput(node, `${what} must be a list; config.items names one, e.g. "\${data.rows}"`);
  }
  const kept: Json[] = [];
  for (let i = 0; i < list.length; i++) {
    own.value = list[i] ?? null;
    own.index = i;
    if (holds(node, condition, own, i)) kept.push(own.value);
  }
  return kept;
}

function holds(node: IrNode, condition: Condition, vars: Vars, index: number): boolean {
  try {
    return condition.test(vars);
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
    throw badInput(node, `config.filter_expression at element ${index}: ${error.message}`, error);
  }
}
