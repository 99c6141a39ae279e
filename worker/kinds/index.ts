/**
 * From a node's type to the code that does its work.
 */
import type { IrNode, Json, NodeType } from "../../compiler/ir.ts";
import { executeFunction } from "./function.ts";
import { executeHttp } from "./http.ts";
import { ExecutionError } from "./kind.ts";
import type { KindContext } from "./kind.ts";
import { evaluatePure } from "./pure.ts";
import { fittingInput, fittingOutput } from "./schemas.ts";

type Executor = (node: IrNode, context: KindContext) => Promise<Json> | Json;

const pure: Executor = (node, context) => evaluatePure(node, context.vars, context.data);

/** Adding a kind: its file, a line here, and a section in docs/node-kinds.md. */
const EXECUTORS: ReadonlyMap<NodeType, Executor> = new Map([
  ["conditional", pure],
  ["parallel", pure],
  ["transform", pure],
  ["filter", pure],
  ["aggregate", pure],
  ["loop", executeLoop],
  ["function", executeFunction],
  ["http", executeHttp],
]);

/** The kinds that executeKind knows: a worker reads the queues of these and of no others. */
export const EXECUTED_KINDS: readonly NodeType[] = [...EXECUTORS.keys()];

/**
 * The output of a node whose input is resolved (see resolveInput). May throw or reject, always with
 * what toExecutionError understands; may return at once without a promise. `delay` is not here: see
 * delayOf.
 */
export function executeKind(node: IrNode, context: KindContext): Promise<Json> | Json {
  const executor = EXECUTORS.get(node.type);
  if (executor !== undefined) {
    fittingInput(node, context.data);
    const output = executor(node, context);
    if (node.output_schema === undefined) return output;
    return output instanceof Promise
      ? output.then((value: Json) => fittingOutput(node, value))
      : fittingOutput(node, output);
  }
  throw new ExecutionError("KIND_NOT_FOUND", `this worker cannot execute "${node.type}" nodes`, {
    retryable: false,
  });
}

/** A loop without a function is as pure as a conditional. */
function executeLoop(node: IrNode, context: KindContext): Promise<Json> | Json {
  const hasFunction = node.config["function_name"] !== undefined;
  return hasFunction ? executeFunction(node, context) : pure(node, context);
}
