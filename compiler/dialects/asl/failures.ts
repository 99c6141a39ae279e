/** Retry and Catch: names of errors, policies, and the conditions of error edges. */
import { asObject, own } from "../../document.ts";
import type { JsonObject } from "../../document.ts";
import type { Json } from "../../ir.ts";
import { joinPointer } from "../../source-map.ts";
import { reportAt } from "../front-end.ts";
import type { FrontContext } from "../front-end.ts";
import { quote } from "./cel.ts";
import { CATCHER_FIELDS, RETRIER_FIELDS } from "./fields.ts";
import { checkFields } from "./validate.ts";

/** Codes that an error of this name has here; names that are not in the table are codes. */
export const ERROR_CODES: Readonly<Record<string, string>> = {
  "States.Timeout": "TIMEOUT",
  "States.HeartbeatTimeout": "TIMEOUT",
  "States.NoChoiceMatched": "NO_BRANCH_MATCHED",
  "States.ParameterPathFailure": "BAD_INPUT",
  "States.ResultPathMatchFailure": "BAD_INPUT",
  "States.IntrinsicFailure": "BAD_INPUT",
};

/** Names of the language for what cannot happen here. */
const OTHER_ERRORS: readonly string[] = [
  ...["States.ALL", "States.TaskFailed", "States.BranchFailed", "States.Runtime"],
  ...["States.Permissions", "States.DataLimitExceeded", "States.QueryEvaluationError"],
  ...["States.ItemReaderFailed", "States.ResultWriterFailed"],
  "States.ExceedToleratedFailureThreshold",
];

const ATTEMPTS_MAX = 100;
const DEFAULT_CAP_MS = 60_000;

interface Names {
  codes: string[];
  isAll: boolean;
  /** Everything but a timeout. */
  isTaskFailed: boolean;
}

function readNames(value: Json | undefined, pointer: string, context: FrontContext): Names {
  const list = Array.isArray(value) ? value : [];
  if (list.length === 0 || list.some((name) => typeof name !== "string")) {
    reportAt(context, "GV1013", pointer, "`ErrorEquals` must be a list of names of errors");
  }
  const names = list.map(String);
  const known = [...Object.keys(ERROR_CODES), ...OTHER_ERRORS];
  for (const [i, name] of names.entries()) {
    if (!name.startsWith("States.") || known.includes(name)) continue;
    const message = `there is no error \`${name}\`: names with \`States.\` are the language's own`;
    const at = joinPointer(pointer, i);
    context.reporter.report({ code: "GV1013", pointer: at, message, meant: { name, known } });
  }
  const isAll = names.includes("States.ALL");
  const isTaskFailed = names.includes("States.TaskFailed");
  const plain = names.filter((name) => name !== "States.ALL" && name !== "States.TaskFailed");
  const codes = plain.map((name) =>
    Object.hasOwn(ERROR_CODES, name) ? (ERROR_CODES[name] ?? name) : name,
  );
  return { codes: [...new Set(codes)], isAll, isTaskFailed };
}

/** The condition under which an error has one of the names, on the error value `output`. */
function matchCondition({ codes, isAll, isTaskFailed }: Names): string {
  if (isAll) return "true";
  const parts = isTaskFailed ? ['output.error.code != "TIMEOUT"'] : [];
  const others = isTaskFailed ? codes.filter((code) => code === "TIMEOUT") : codes;
  if (others.length === 1) parts.push(`output.error.code == ${quote(others[0] ?? "")}`);
  if (others.length > 1) parts.push(`output.error.code in [${others.map(quote).join(", ")}]`);
  return parts.length === 0 ? "false" : parts.join(" || ");
}

/** `States.ALL` before the last entry: those behind it would never be looked at. */
function checkAllLast(list: Json | undefined, pointer: string, context: FrontContext): void {
  const entries = Array.isArray(list) ? list : [];
  for (const [i, entry] of entries.slice(0, -1).entries()) {
    const names = own(asObject(entry) ?? {}, "ErrorEquals");
    if (!Array.isArray(names) || !names.includes("States.ALL")) continue;
    const message = "`States.ALL` stands before other entries: they are never reached";
    const at = joinPointer(pointer, i, "ErrorEquals");
    return reportAt(context, "GV1013", at, message, "make it the last entry");
  }
}

export interface Catcher {
  pointer: string;
  next: string;
  resultPath: Json | undefined;
  /** Undefined: always. */
  condition: string | undefined;
}

/** The catchers of a state; each has what those before it have not. */
export function readCatch(state: JsonObject, pointer: string, context: FrontContext): Catcher[] {
  const list = own(state, "Catch");
  checkAllLast(list, joinPointer(pointer, "Catch"), context);
  const before: string[] = [];
  const catchers: Catcher[] = [];
  for (const [i, entry] of (Array.isArray(list) ? list : []).entries()) {
    const at = joinPointer(pointer, "Catch", i);
    const catcher = asObject(entry) ?? {};
    const next = own(catcher, "Next");
    checkFields(catcher, CATCHER_FIELDS, at, "a catcher", context);
    const names = readNames(own(catcher, "ErrorEquals"), joinPointer(at, "ErrorEquals"), context);
    if (typeof next !== "string") {
      reportAt(context, "GV1012", at, "`Next` is missing: a catcher leads to a state");
      continue;
    }
    const own_ = matchCondition(names);
    const parts = [...before.map((other) => `!(${other})`), ...(own_ === "true" ? [] : [own_])];
    const isSum = parts.length > 1 && own_.includes("||");
    if (isSum) parts[parts.length - 1] = `(${own_})`;
    const condition = parts.length === 0 ? undefined : parts.join(" && ");
    if (before.includes("true")) continue;
    catchers.push({ pointer: at, next, resultPath: own(catcher, "ResultPath"), condition });
    before.push(own_);
  }
  return catchers;
}

/** What a catcher's state gets of an error value. */
export const ERROR_OUTPUT =
  '{"Error": data.error.code == "TIMEOUT" ? "States.Timeout" : data.error.code, ' +
  '"Cause": data.error.message}';

interface Retrier {
  pointer: string;
  names: Names;
  attempts: number;
  /** Without the names: two entries with the same one are one policy. */
  policy: JsonObject;
}

/** The retry policy of a state, or undefined if it has none. */
export function readRetry(
  state: JsonObject,
  pointer: string,
  context: FrontContext,
): JsonObject | undefined {
  const list = own(state, "Retry");
  checkAllLast(list, joinPointer(pointer, "Retry"), context);
  const retriers = (Array.isArray(list) ? list : []).map((entry, i) =>
    readRetrier(asObject(entry) ?? {}, joinPointer(pointer, "Retry", i), context),
  );
  const never: string[] = [];
  const kept: Retrier[] = [];
  for (const retrier of retriers) {
    const { names } = retrier;
    if (retrier.attempts > 0) kept.push(retrier);
    else if (names.isAll || names.isTaskFailed) break;
    else if (kept.length === 0) never.push(...names.codes);
    if (names.isAll) break;
  }
  const [first, ...others] = kept;
  if (!first) return undefined;
  const odd = others.find(({ policy }) => JSON.stringify(policy) !== JSON.stringify(first.policy));
  if (odd) {
    const message = "entries of Retry with different settings: a node has one retry policy";
    const hint = "give them the same settings, or do the work in two states";
    reportAt(context, "GV5001", odd.pointer, message, hint);
  }
  return { ...first.policy, ...codesOf(kept, never) };
}

function codesOf(kept: readonly Retrier[], never: readonly string[]): JsonObject {
  const names = kept.map((retrier) => retrier.names);
  const isAll = names.some((some) => some.isAll);
  const isTaskFailed = names.some((some) => some.isTaskFailed);
  const codes = [...new Set(names.flatMap((some) => some.codes))];
  const spared = isTaskFailed && !isAll && !codes.includes("TIMEOUT") ? ["TIMEOUT"] : [];
  const not = [...new Set([...never, ...spared])];
  return {
    ...(isAll || isTaskFailed ? {} : { on: codes }),
    ...(not.length === 0 ? {} : { not_on: not }),
  };
}

function readRetrier(entry: JsonObject, pointer: string, context: FrontContext): Retrier {
  const number = (key: string, otherwise: number, least: number): number => {
    const value = own(entry, key);
    if (value === undefined) return otherwise;
    if (typeof value === "number" && value >= least) return value;
    reportAt(
      context,
      "GV1013",
      joinPointer(pointer, key),
      `\`${key}\` must be a number from ${least}`,
    );
    return otherwise;
  };
  checkFields(entry, RETRIER_FIELDS, pointer, "an entry of Retry", context);
  const names = readNames(own(entry, "ErrorEquals"), joinPointer(pointer, "ErrorEquals"), context);
  let attempts = number("MaxAttempts", 3, 0);
  if (attempts >= ATTEMPTS_MAX) {
    const most = `a node is tried ${ATTEMPTS_MAX} times at most`;
    const message = `more than ${ATTEMPTS_MAX - 1} retries: ${most}`;
    context.reporter.report({ code: "GV5002", pointer: `${pointer}/MaxAttempts`, message });
    attempts = ATTEMPTS_MAX - 1;
  }
  const interval = number("IntervalSeconds", 1, 0) * 1000;
  const rate = number("BackoffRate", 2, 1);
  const given = own(entry, "MaxDelaySeconds");
  const longest = Math.ceil(Math.min(interval * rate ** Math.max(0, attempts - 1), 2 ** 50));
  const cap = given === undefined ? longest : number("MaxDelaySeconds", 60, 1) * 1000;
  // Full jitter is anything up to the delay: half of it, plus or minus all of that.
  const isFull = own(entry, "JitterStrategy") === "FULL";
  const share = isFull ? 0.5 : 1;
  const policy: JsonObject = {
    max_attempts: attempts + 1,
    backoff_ms: Math.round(interval * share),
    backoff_multiplier: rate,
    ...(given !== undefined || cap > DEFAULT_CAP_MS
      ? { max_backoff_ms: Math.round(cap * share) }
      : {}),
    jitter: isFull ? 1 : 0,
  };
  return { pointer, names, attempts, policy };
}
