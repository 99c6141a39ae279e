/**
 * The errors of the expression language.
 *
 * Two worlds meet here. A *problem* is the author's: it is found without data and may quote the
 * source. An *evaluation error* happens on run data and ends up in logs and history, so its message
 * never holds a value, only types and field names that stand in the source. The library's own
 * messages quote values ("invalid string value …"), hence the table below instead of passing them
 * on.
 */
import type { ExpressionProblem, TemplateProblem } from "./types.ts";

/** A source that cannot be compiled. */
export class ExpressionSyntaxError extends Error {
  override readonly name = "ExpressionSyntaxError";
  readonly source: string;
  readonly problem: ExpressionProblem;

  constructor(source: string, problem: ExpressionProblem) {
    super(problem.hint === undefined ? problem.message : `${problem.message} (${problem.hint})`);
    this.source = source;
    this.problem = problem;
  }
}

/** A template with at least one string that cannot be compiled; `problems` holds all of them. */
export class TemplateSyntaxError extends Error {
  override readonly name = "TemplateSyntaxError";
  readonly problems: readonly TemplateProblem[];

  constructor(problems: readonly TemplateProblem[]) {
    super(problems.map((p) => `${p.pointer || "/"}: ${p.message}`).join("; "));
    this.problems = problems;
  }
}

/** Where in a source something happened. */
export interface SourcePlace {
  start?: number;
  end?: number;
}

/** An expression that has no value for these data. The message holds no run data. */
export class EvaluationError extends Error {
  override readonly name = "EvaluationError";
  readonly source: string;
  readonly start: number | undefined;
  readonly end: number | undefined;
  /** In a template: the JSON pointer of the string; `start` and `end` are offsets into it. */
  readonly pointer: string | undefined;

  constructor(message: string, source: string, place: SourcePlace & { pointer?: string } = {}) {
    super(message);
    this.source = source;
    this.start = place.start;
    this.end = place.end;
    this.pointer = place.pointer;
  }
}

/** Thrown inside an evaluation that used up its units of work. */
export class WorkLimitError extends Error {
  override readonly name = "WorkLimitError";
}

/** The part of the library's error that is used: all of it is checked before use. */
interface LibraryError extends Error {
  code: string;
  summary: string;
  range?: { start: number; end: number };
  node?: { op?: string; args?: unknown };
}

export function isLibraryError(error: unknown): error is LibraryError {
  return error instanceof Error && "summary" in error && "code" in error;
}

/** Codes whose summary names only types, operators and names from the source. */
const SAFE_SUMMARIES: ReadonlySet<string> = new Set([
  "unknown_variable",
  "no_such_overload",
  "no_matching_overload",
  "invalid_condition_type",
  "invalid_logical_operand",
  "invalid_comprehension_range",
  "invalid_macro_argument",
  "invalid_index_type",
  "cannot_index_type",
  "division_by_zero",
  "modulo_by_zero",
  "optional_value_missing",
  "optional_expected",
  "invalid_timestamp",
  "int_conversion_error",
  "uint_conversion_error",
  "double_conversion_error",
  "invalid_list_element_type",
]);

/** An operator between two types, and what helps where they do not go together. */
export const OPERATOR = / [-+*/%<>=!]+ /;
export const OPERATOR_HINT = "convert one side, e.g. with string(…), int(…) or double(…)";

/** For the other codes: what is said instead of the library's summary. */
const MESSAGES: ReadonlyMap<string, string> = new Map([
  ["bool_conversion_error", "bool() cannot read this string as true or false"],
  ["invalid_duration", "duration() cannot read this string; write it like 1h30m or 90s"],
  ["invalid_regular_expression", "the pattern of matches() is not a valid RE2 pattern"],
  ["numeric_overflow", "a number leaves the range of 64-bit integers"],
  ["index_out_of_range", "an index is outside the string"],
  ["index_out_of_bounds", "a list index is outside the list"],
  ["field_type_mismatch", "a field has another type than the expression needs"],
  ["list_item_type_mismatch", "a list element has another type than the expression needs"],
  ["variable_type_mismatch", "a variable has another type than the expression needs"],
  ["repeated_map_key", "a map literal gives the same key twice"],
  ["unsupported_key_type", "a map key must be a string, a number or a bool"],
  ["time_out_of_range", "a time leaves the years 1 to 9999, or a duration 10,000 years"],
  ["unknown_zone", "there is no such time zone; write Europe/Berlin, UTC or +02:00"],
  ["not_an_integer", "an argument must be a whole number"],
]);

/**
 * Methods that we replace, and the names ours run under, since the library's overloads cannot be
 * replaced. Messages show the CEL name.
 */
export const REPLACED_METHODS: ReadonlyMap<string, string> = new Map([
  ["matches", "matchesLinearTime"],
  ["join", "joinWithinLimits"],
  ["getDate", "getDateAt"],
  ["getDayOfMonth", "getDayOfMonthAt"],
  ["getDayOfWeek", "getDayOfWeekAt"],
  ["getDayOfYear", "getDayOfYearAt"],
  ["getFullYear", "getFullYearAt"],
  ["getHours", "getHoursAt"],
  ["getMilliseconds", "getMillisecondsAt"],
  ["getMinutes", "getMinutesAt"],
  ["getMonth", "getMonthAt"],
  ["getSeconds", "getSecondsAt"],
]);

/** Type names as an author knows them: `dyn<…>` is the library's mark for "known at run time". */
export function readableTypes(text: string): string {
  let readable = text;
  for (const [name, ours] of REPLACED_METHODS) readable = readable.replaceAll(ours, name);
  for (let before = ""; before !== readable;) {
    before = readable;
    readable = readable.replace(/\bdyn<([^<>]*(?:<[^<>]*>)?[^<>]*)>/g, "$1");
  }
  return readable;
}

/** Turn whatever an evaluation threw into an EvaluationError that holds no run data. */
export function toEvaluationError(error: unknown, source: string): EvaluationError {
  if (error instanceof EvaluationError) return error;
  if (error instanceof WorkLimitError) {
    return new EvaluationError(error.message, source, { start: 0, end: source.length });
  }
  if (!isLibraryError(error)) {
    const cause =
      error instanceof RangeError ? "nested too deep, or out of range" : "they do not fit";
    return new EvaluationError(`the expression has no value for these data: ${cause}`, source);
  }
  return new EvaluationError(libraryMessage(error, source), source, error.range ?? {});
}

/** The path that leads to a field, up to its name: `input.items[0].sku`. */
const PATH = /(?<![\w.\])}])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d+\])*\.[A-Za-z_]\w*$/;
const PATH_MAX = 100;

/** As the source has it, so that the message says whose field it is; undefined: it is not so plain. */
function pathTo(field: string, source: string, range: LibraryError["range"]): string | undefined {
  const { start = 0, end = 0 } = range ?? {};
  if (source.slice(start, end) !== field) return undefined;
  const from = Math.max(0, end - PATH_MAX);
  const found = PATH.exec(source.slice(from, end));
  return found && (found.index > 0 || from === 0) ? found[0] : undefined;
}

function libraryMessage(error: LibraryError, source: string): string {
  if (error.code === "no_such_key") {
    const field = constantKey(error.node);
    if (field === undefined) {
      return "no such field (the key is computed); ask with has() or `in` first";
    }
    const path = pathTo(field, source, error.range);
    return path === undefined
      ? `no such field: ${field}; ask with has() first`
      : `no such field: ${path}; ask with has(${path}) first`;
  }
  if (SAFE_SUMMARIES.has(error.code)) {
    const message = readableTypes(error.summary);
    const isOperator = error.code === "no_such_overload" && OPERATOR.test(message);
    return isOperator ? `${message}; ${OPERATOR_HINT}` : message;
  }
  return MESSAGES.get(error.code) ?? `the expression has no value for these data (${error.code})`;
}

/** The field name if it stands in the source; a computed key is run data and stays out. */
function constantKey(node: { op?: string; args?: unknown } | undefined): string | undefined {
  if (!node || !Array.isArray(node.args)) return undefined;
  const key: unknown = node.args[1];
  if (typeof key === "string") return node.op === "." || node.op === ".?" ? key : undefined;
  if (typeof key !== "object" || key === null || !("op" in key) || !("args" in key)) {
    return undefined;
  }
  return key.op === "value" && typeof key.args === "string" ? key.args : undefined;
}
