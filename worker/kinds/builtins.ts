/**
 * The functions that are always there: for examples, tests and first steps.
 *
 * They are ordinary handlers without any knowledge of the engine, so they also show how one is
 * written. What they promise is the table in docs/node-kinds.md.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Json } from "../../compiler/ir.ts";
import { TIMER_MS_MAX, type FunctionContext, type FunctionHandler } from "../../sdk/internal.ts";
import { ExecutionError } from "./kind.ts";

/** What a handler gets as `params` if the node gives none; told from an empty object by identity. */
export const NO_PARAMS: { [key: string]: Json } = Object.freeze({});

export const BUILTINS: ReadonlyMap<string, FunctionHandler> = new Map<string, FunctionHandler>([
  ["builtin.echo", echo],
  ["builtin.add", add],
  ["builtin.counter", counter],
  ["builtin.sleep", sleep],
  ["builtin.fail", fail],
]);

function echo({ params, input }: FunctionContext): Json {
  return params === NO_PARAMS ? input : params;
}

function add({ params }: FunctionContext): Json {
  if (params["values"] === undefined) {
    return { sum: numberOf(params, "a", 0) + numberOf(params, "b", 0) };
  }
  const values = params["values"];
  if (!Array.isArray(values)) throw badParam("values", "a list of numbers");
  let sum = 0;
  for (const value of values) {
    if (typeof value !== "number") throw badParam("values", "a list of numbers");
    sum += value;
  }
  return { sum };
}

function counter({ params, input }: FunctionContext): Json {
  const count = isObject(input) ? input["count"] : undefined;
  const from = typeof count === "number" ? count : numberOf(params, "start", 0);
  return { count: from + numberOf(params, "step", 1) };
}

async function sleep({ params, input, signal }: FunctionContext): Promise<Json> {
  const ms = numberOf(params, "ms", 0);
  if (ms < 0 || ms > TIMER_MS_MAX) throw badParam("ms", `between 0 and ${TIMER_MS_MAX}`);
  await pause(ms, undefined, { signal });
  return valueOr(params, input);
}

function fail({ params, input, attempt }: FunctionContext): Json {
  const when = params["when"] ?? true;
  if (typeof when !== "boolean") throw badParam("when", "true or false");
  if (!when || attempt > numberOf(params, "attempts", Infinity)) return valueOr(params, input);
  const code = params["code"] ?? "FAILED";
  const message = params["message"] ?? "builtin.fail failed, as it was told to";
  if (typeof code !== "string") throw badParam("code", "a text");
  throw new ExecutionError(code, typeof message === "string" ? message : JSON.stringify(message));
}

/** `params.value` if given, also as null, else the input. */
function valueOr(params: { [key: string]: Json }, input: Json): Json {
  return params["value"] === undefined ? input : params["value"];
}

function numberOf(params: { [key: string]: Json }, name: string, missing: number): number {
  const value = params[name];
  if (value === undefined) return missing;
  if (typeof value !== "number") throw badParam(name, "a number");
  return value;
}

function badParam(name: string, expected: string): ExecutionError {
  return new ExecutionError("BAD_INPUT", `params.${name} must be ${expected}`, {
    retryable: false,
  });
}

function isObject(value: Json): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
