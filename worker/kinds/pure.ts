/**
 * The pure kinds: evaluated without a handler, a promise or a clock.
 *
 * This is on the hot path: up to 64 of these run inside the step that completes another node.
 */
import type { IrNode, Json } from "../../compiler/ir.ts";
import type { Vars } from "../../condition/index.ts";
import { evaluateAggregate } from "./aggregate.ts";
import { evaluateFilter } from "./filter.ts";
import { ExecutionError } from "./kind.ts";
import { evaluateTransform } from "./transform.ts";

/**
 * The output of a pure node for its input `data`, which is also `vars.data` (see resolveInput). The
 * result may share parts with both: do not change it. Throws ExecutionError (BAD_INPUT).
 */
export function evaluatePure(node: IrNode, vars: Vars, data: Json): Json {
  switch (node.type) {
    case "conditional":
    case "parallel":
    case "loop":
      return data;
    case "transform":
      return evaluateTransform(node, vars, data);
    case "filter":
      return evaluateFilter(node, vars, data);
    case "aggregate":
      return evaluateAggregate(node, vars, data);
    default:
      throw new ExecutionError("KIND_NOT_FOUND", `"${node.type}" is not a pure node kind`, {
        retryable: false,
      });
  }
}
