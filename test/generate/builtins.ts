/**
 * The built-in functions for the oracle, written from the description of the workflow format and
 * not from the worker's code, so that the two can disagree. See pure-kinds.ts for the pure kinds.
 *
 * Messages of BAD_INPUT are nobody's promise: the generator makes no workflow that depends on them.
 */
import { compileTemplate } from "../../condition/index.ts";
import type { Vars } from "../../condition/index.ts";
import type { IrNode, Json } from "../../compiler/ir.ts";
import type {
  HandlerContext,
  HandlerResult,
  HandlerTable,
} from "../../compiler/reference/index.ts";
import { BadInput, isRecord, pureOutput } from "./pure-kinds.ts";

type Builtin = (params: Json | undefined, context: HandlerContext) => HandlerResult;

const BUILTINS: { [name: string]: Builtin } = {
  "builtin.echo": (params, { data }) => ({ output: params === undefined ? data : params }),
  "builtin.add": (params) => ({ output: { sum: addUp(params) } }),
  "builtin.counter": (params, { data }) => {
    const count = member(data, "count");
    const from = typeof count === "number" ? count : numberIn(params, "start", 0);
    return { output: { count: from + numberIn(params, "step", 1) } };
  },
  "builtin.sleep": (params, { data }) => {
    if (numberIn(params, "ms", 0) < 0) throw new BadInput("ms must not be negative");
    return { output: valueOr(params, data) };
  },
  "builtin.fail": fail,
};

/** Every kind that generated workflows use: built-in functions, pure kinds, delays. */
export function oracleHandlers(): HandlerTable {
  return {
    evaluate(node, context) {
      try {
        return evaluate(node, context);
      } catch (error) {
        if (!(error instanceof BadInput)) throw error;
        return { error: { code: "BAD_INPUT", message: error.message, retryable: false } };
      }
    },
  };
}

function evaluate(node: IrNode, context: HandlerContext): HandlerResult {
  const name = node.config["function_name"];
  if (node.type === "function" || (node.type === "loop" && name !== undefined)) {
    const builtin = typeof name === "string" ? BUILTINS[name] : undefined;
    if (builtin) return builtin(paramsOf(node, context.vars), context);
    const message = `there is no function "${String(name)}"`;
    return { error: { code: "FUNCTION_NOT_FOUND", message, retryable: false } };
  }
  if (node.type === "delay") return { output: context.data };
  return { output: pureOutput(node, context) };
}

function paramsOf(node: IrNode, vars: Vars): Json | undefined {
  const params = node.config["params"];
  if (params === undefined) return undefined;
  try {
    return compileTemplate(params).evaluate(vars);
  } catch (error) {
    throw new BadInput(error instanceof Error ? error.message : String(error));
  }
}

function fail(params: Json | undefined, { data, attempt }: HandlerContext): HandlerResult {
  const when = member(params, "when") ?? true;
  if (typeof when !== "boolean") throw new BadInput("params.when must be true or false");
  const failing = numberIn(params, "attempts", Number.POSITIVE_INFINITY);
  if (!when || attempt > failing) return { output: valueOr(params, data) };
  const code = member(params, "code") ?? "FAILED";
  const message = member(params, "message") ?? "";
  return { error: { code: String(code), message: String(message) } };
}

/** `params.value` if given (null is a value), else the node's input. */
function valueOr(params: Json | undefined, data: Json): Json {
  const value = member(params, "value");
  return value === undefined ? data : value;
}

function addUp(params: Json | undefined): number {
  const values = member(params, "values");
  if (values === undefined) return numberIn(params, "a", 0) + numberIn(params, "b", 0);
  if (!Array.isArray(values)) throw new BadInput("params.values must be a list of numbers");
  return values.reduce<number>((sum, value) => {
    if (typeof value !== "number") throw new BadInput("params.values must hold numbers");
    return sum + value;
  }, 0);
}

function numberIn(params: Json | undefined, name: string, missing: number): number {
  const value = member(params, name);
  if (value === undefined) return missing;
  if (typeof value !== "number") throw new BadInput(`params.${name} must be a number`);
  return value;
}

function member(value: Json | undefined, name: string): Json | undefined {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}
