/**
 * `function` nodes, and `loop` nodes with a function: one call of a registered handler.
 */
import type { IrNode, Json } from "../../compiler/ir.ts";
import { compileTemplate } from "../../condition/index.ts";
import type { Template } from "../../condition/index.ts";
import type { FunctionContext } from "../../sdk/internal.ts";
import { NO_PARAMS } from "./builtins.ts";
import { copyOf } from "./json-data.ts";
import { toJsonResult } from "./json-result.ts";
import { badInput, ExecutionError, fill, perNode, toExecutionError } from "./kind.ts";
import type { KindContext } from "./kind.ts";

/** Keys of the config that are the engine's: the others are the params if `params` is missing. */
const ENGINE_KEYS: ReadonlySet<string> = new Set(["function_name", "input", "params"]);
const LOOP_KEYS: ReadonlySet<string> = new Set([
  "max_iterations",
  "loop_back_to",
  "condition",
  "break_path",
  "timeout_path",
  "delay_ms",
]);

interface Call {
  name: string;
  /** null: the node gives no params. */
  params: Template | null;
}

const callOf = perNode<Call>((node) => {
  const name = node.config["function_name"];
  if (typeof name !== "string") throw badInput(node, "config.function_name must be a name");
  const given = node.config["params"] ?? otherKeys(node);
  return { name, params: given === null ? null : compileTemplate(given) };
});

function otherKeys(node: IrNode): Json {
  const entries = Object.entries(node.config).filter(
    ([key]) => !ENGINE_KEYS.has(key) && !(node.type === "loop" && LOOP_KEYS.has(key)),
  );
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

/**
 * Call the node's handler. Throws ExecutionError FUNCTION_NOT_FOUND, BAD_INPUT (params that cannot be
 * filled in), or whatever the handler threw, as toExecutionError reads it.
 */
export function executeFunction(node: IrNode, context: KindContext): Promise<Json> | Json {
  const { name, params } = callOf(node);
  const handler = context.registry.get(name);
  if (handler === undefined) throw notFound(name, context);
  const filled = params === null ? NO_PARAMS : fill(node, "config.params", params, context.vars);
  try {
    const result = handler(new HandlerContext(node, context, filled));
    // Of other makes than the language's own, too: nobody else would see that they are promises.
    return isPromise(result)
      ? Promise.resolve(result)
          .then(toJsonResult)
          .catch((error: unknown) => {
            throw toExecutionError(error, context.signal);
          })
      : toJsonResult(result);
  } catch (error) {
    throw toExecutionError(error, context.signal);
  }
}

/**
 * What a handler gets: values that it may change, as none of them is anybody else's. What params and
 * `config.input` have is the workflow's own, or of what else of the run is read beside and after it.
 * A class: its signal is made only for handlers that ask for it.
 */
class HandlerContext implements FunctionContext {
  readonly params: { [key: string]: Json };
  readonly input: Json;
  readonly runId: string;
  readonly node: string;
  readonly scope: string;
  readonly attempt: number;
  declare readonly iteration?: number;
  readonly idempotencyKey: string;
  readonly log: FunctionContext["log"];
  readonly #context: KindContext;

  constructor(node: IrNode, context: KindContext, params: Json) {
    const { runId, scope } = context;
    // Params are an object unless the author made them one template with another value.
    const own = params === NO_PARAMS ? params : copyOf(params);
    this.params = own as { [key: string]: Json };
    this.input = context.ownsData === true ? context.data : copyOf(context.data);
    this.runId = runId;
    this.node = node.id;
    this.scope = scope;
    this.attempt = context.attempt;
    if (context.iteration !== undefined) {
      this.iteration = context.iteration;
    }
    this.idempotencyKey = `${runId}/${node.id}/${scope}`;
    this.log = context.log;
    this.#context = context;
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }
}

function notFound(name: string, context: KindContext): ExecutionError {
  const known = context.registry.names().join(", ");
  return new ExecutionError(
    "FUNCTION_NOT_FOUND",
    `this worker has no function "${name}" (it has: ${known}); load the module that defines it ` +
      "with --functions, or try the workflow with --stub",
    { retryable: false },
  );
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}
