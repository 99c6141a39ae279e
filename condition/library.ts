/**
 * The language as we run it: the library's environment with our operators and functions.
 *
 * JSON has one kind of number and CEL has three that do not mix. Data arrive as doubles while `1`
 * in a source is an int, so without the mixed overloads `output.count + 1` would be an error. Each
 * overload states its result type: without it the library assumes the type of the left side, and
 * `1 + output.count == 4` is false without a word.
 */
import { Environment, EvaluationError } from "@marcbachmann/cel-js";
import type { RegisteredFunctionHandler } from "@marcbachmann/cel-js";
import type { Evaluator } from "./ast.ts";
import { REPLACED_METHODS } from "./errors.ts";
import { equalityKey, equalValues } from "./equality.ts";
import { registerFunctions } from "./functions.ts";
import { isPlainObject } from "./json.ts";
import * as limits from "./limits.ts";
import { LruCache } from "./lru.ts";
import { isMatch } from "./pattern.ts";
import { registerTimes } from "./time.ts";
import { spendWork } from "./work.ts";

const SYNC = { async: false };

/** An error of one of our functions; the library adds the place (see errors.ts for the codes). */
function functionError(code: string, message: string): EvaluationError {
  return new EvaluationError({ code, message });
}

function registerOperators(env: Environment): void {
  const operations: [string, (a: number, b: number) => number][] = [
    ["+", (a, b) => a + b],
    ["-", (a, b) => a - b],
    ["*", (a, b) => a * b],
    ["/", (a, b) => a / b],
    ["%", (a, b) => a % b],
  ];
  for (const [op, apply] of operations) {
    const mixed = (a: unknown, b: unknown): number => apply(Number(a), Number(b));
    env.registerOperator(`int ${op} double: double`, mixed);
    env.registerOperator(`double ${op} int: double`, mixed);
  }
  env.registerOperator("double % double: double", (a: number, b: number) => a % b);
  env.registerOperator("int == double: bool", (a: unknown, b: unknown) => Number(a) === Number(b));
}

/** Positions and counts that come from JSON are doubles; the library has int overloads only. */
function registerDoublePositions(env: Environment): void {
  const add = (signature: string, handler: RegisteredFunctionHandler): void => {
    env.registerFunction(signature, handler, SYNC);
  };
  const substring = (text: string, from: unknown, to?: unknown): string => {
    const start = wholeNumber(from);
    const end = to === undefined ? text.length : wholeNumber(to);
    if (start < 0 || end < start || end > text.length) {
      throw functionError("index_out_of_range", "substring() out of range");
    }
    return text.slice(start, end);
  };
  add("string.substring(double): string", substring);
  add("string.substring(double, double): string", substring);
  add("string.substring(int, double): string", substring);
  add("string.substring(double, int): string", substring);
  add("string.split(string, double): list<string>", (text: string, by: string, count: number) =>
    splitAtMost(text, by, wholeNumber(count)),
  );
  add("timestamp(double): google.protobuf.Timestamp", (seconds: number) => {
    const date = new Date(seconds * 1000);
    if (!Number.isNaN(date.getTime())) return date;
    throw functionError("invalid_timestamp", "timestamp() needs seconds since 1970");
  });
}

function wholeNumber(value: unknown): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw functionError("not_an_integer", "not a whole number");
}

function splitAtMost(text: string, by: string, count: number): string[] {
  const parts = text.split(by);
  if (count < 0 || parts.length <= count) return parts;
  if (count === 0) return [];
  return [...parts.slice(0, count - 1), parts.slice(count - 1).join(by)];
}

function registerConveniences(env: Environment): void {
  const add = (signature: string, handler: RegisteredFunctionHandler): void => {
    env.registerFunction(signature, handler, SYNC);
  };
  const matches = (text: string, pattern: string): boolean => {
    spendWork(Math.floor(text.length / limits.MATCHED_CHARACTERS_PER_UNIT));
    try {
      return isMatch(text, pattern);
    } catch {
      throw functionError("invalid_regular_expression", "not a valid pattern");
    }
  };
  add(`string.${REPLACED_METHODS.get("matches")}(string): bool`, matches);
  add("matches(string, string): bool", matches);
  add("string.replace(string, string): string", (text: string, from: string, to: string) =>
    joinStrings(text.split(from), to),
  );
  const join = REPLACED_METHODS.get("join");
  add(`list.${join}(): string`, (list: readonly unknown[]) => joinStrings(list, ""));
  add(`list.${join}(string): string`, joinStrings);
  add("int(uint): int", (value: { valueOf(): bigint }) => value.valueOf());
  add("int(google.protobuf.Timestamp): int", (date: Date) =>
    BigInt(Math.floor(date.getTime() / 1000)),
  );
  add("list.reverse(): list", (list: readonly unknown[]) => {
    spendWork(Math.floor(list.length / limits.ELEMENTS_PER_UNIT));
    return [...list].reverse();
  });
  add("list.distinct(): list", (list: readonly unknown[]) => distinct(list));
  add("list.sum(): double", (list: readonly unknown[]) => sum(list));
}

/** Pays before it builds: a long separator between many parts is far larger than its operands. */
function joinStrings(parts: readonly unknown[], separator: string): string {
  let length = separator.length * parts.length;
  for (const part of parts) {
    if (typeof part !== "string") {
      throw functionError("invalid_list_element_type", "join() needs a list of strings");
    }
    length += part.length;
  }
  spendWork(Math.floor(length / limits.CHARACTERS_PER_UNIT));
  return parts.join(separator);
}

function distinct(list: readonly unknown[]): unknown[] {
  const kept: unknown[] = [];
  const keys = new Set<unknown>();
  /** Those that have no key: few, as no JSON is among them. */
  const loose: unknown[] = [];
  for (const item of list) {
    spendWork(1);
    const key = equalityKey(item);
    const others = key === undefined ? kept : loose;
    if (keys.has(key)) continue;
    spendWork(others.length);
    if (others.some((other) => equalValues(other, item))) continue;
    kept.push(item);
    if (key === undefined) loose.push(item);
    else keys.add(key);
  }
  return kept;
}

function sum(list: readonly unknown[]): number {
  spendWork(Math.floor(list.length / limits.ELEMENTS_PER_UNIT));
  let total = 0;
  for (const item of list) {
    if (typeof item !== "number" && typeof item !== "bigint") {
      throw functionError("no_such_overload", "sum() needs a list of numbers");
    }
    total += Number(item);
  }
  return total;
}

/**
 * Make an environment tell kinds of values by their prototype instead of by `value.constructor`,
 * which is data if an object has such a key. The evaluator is private to the environment, but it is
 * `this` in a function's handler. Leans on internals: data.test.ts holds it.
 */
function readKindsByPrototype(env: Environment): void {
  let isDone = false;
  // Expressions can call this function too, to no effect.
  function captureEvaluator(this: Evaluator): boolean {
    if (isDone) return true;
    const byConstructor = this.debugType.bind(this);
    this.debugType = (value) => (isPlainObject(value) ? this.mapType : byConstructor(value));
    isDone = true;
    return true;
  }
  env.registerFunction("captureEvaluator(): bool", captureEvaluator, SYNC);
  if (env.evaluate("captureEvaluator()") !== true) throw new Error("cel-js has changed");
}

function buildRuntime(): Environment {
  const env = new Environment({
    unlistedVariablesAreDyn: true,
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: true,
    limits: {
      maxAstNodes: limits.AST_NODES_MAX,
      maxDepth: limits.DEPTH_MAX,
      maxListElements: limits.LITERAL_ELEMENTS_MAX,
      maxMapEntries: limits.LITERAL_ELEMENTS_MAX,
      maxCallArguments: limits.ARGUMENTS_MAX,
    },
  });
  registerOperators(env);
  registerDoublePositions(env);
  registerConveniences(env);
  registerFunctions(env);
  registerTimes(env);
  readKindsByPrototype(env);
  return env;
}

/** Where expressions run: every name is a variable whose type is known at run time. */
export const runtime: Environment = buildRuntime();

const checkers = new LruCache<string, Environment>(limits.SCOPE_CACHE_MAX);

/** All functions, methods and macros, by the names that the library has. */
export function functionDefinitions(): readonly { name: string; receiverType: string | null }[] {
  return runtime.getDefinitions().functions;
}

/** Where expressions are checked: exactly these variables exist. */
export function checkerFor(variables: ReadonlySet<string>): Environment {
  const names = [...variables].sort();
  return checkers.getOrMake(names.join(" "), () => {
    const env = runtime.clone({ ...runtime.opts, unlistedVariablesAreDyn: false });
    for (const name of names) env.registerVariable(name, "dyn");
    return env;
  });
}
