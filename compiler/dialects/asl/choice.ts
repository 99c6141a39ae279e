/**
 * Comparisons of a Choice to CEL.
 *
 * A comparison with a value of another type is false there, never an error; so what CEL would refuse
 * to compare is guarded by a question for its type. A variable that is missing is an error in both
 * languages, except for IsPresent.
 */
import { asObject, own } from "../../document.ts";
import type { JsonObject } from "../../document.ts";
import type { Json } from "../../ir.ts";
import { joinPointer } from "../../source-map.ts";
import { literal, quote } from "./cel.ts";
import { hasAll, parsePath, PathProblem } from "./paths.ts";
import type { Scope } from "./paths.ts";
import { readExpression } from "./payload.ts";
import type { Complain } from "./payload.ts";

interface Operator {
  /** What the right side must be. */
  takes: "string" | "number" | "boolean" | "timestamp";
  write: (left: string, right: string) => string;
}

const SIGNS: Readonly<Record<string, string>> = {
  Equals: "==",
  LessThan: "<",
  GreaterThan: ">",
  LessThanEquals: "<=",
  GreaterThanEquals: ">=",
};

const text = (cel: string): string => (cel.startsWith('"') ? "" : `isString(${cel})`);
const number = (cel: string): string => (/^[-\d]/.test(cel) ? "" : `isNumber(${cel})`);
const time = (cel: string): string => (cel.startsWith('"') ? "" : `isTimestamp(${cel})`);

/** Guards that say something, and then the comparison. */
function guarded(guards: readonly string[], comparison: string): string {
  return [...guards.filter((guard) => guard !== ""), comparison].join(" && ");
}

function buildOperators(): Record<string, Operator> {
  const operators: Record<string, Operator> = {};
  for (const [name, sign] of Object.entries(SIGNS)) {
    const compare = (guard: (cel: string) => string) => (left: string, right: string) => {
      const isPlain = sign === "==" && /^["\d-]/.test(right);
      const guards = isPlain ? [] : [guard(left), guard(right)];
      return guarded(guards, `${left} ${sign} ${right}`);
    };
    operators[`String${name}`] = { takes: "string", write: compare(text) };
    operators[`Numeric${name}`] = { takes: "number", write: compare(number) };
    operators[`Timestamp${name}`] = {
      takes: "timestamp",
      write: (left, right) =>
        guarded([time(left), time(right)], `timestamp(${left}) ${sign} timestamp(${right})`),
    };
  }
  operators["BooleanEquals"] = {
    takes: "boolean",
    write: (left, right) =>
      right === "true" || right === "false"
        ? `${left} == ${right}`
        : `isBool(${left}) && ${left} == ${right}`,
  };
  return operators;
}

/** Operators that have a form with `Path` too. */
export const COMPARISONS: Readonly<Record<string, Operator>> = buildOperators();

/** Questions for one variable; their value is true or false. */
export const QUESTIONS: Readonly<Record<string, (left: string) => string>> = {
  IsNull: (left) => `${left} == null`,
  IsString: (left) => `isString(${left})`,
  IsNumeric: (left) => `isNumber(${left})`,
  IsBoolean: (left) => `isBool(${left})`,
  IsTimestamp: (left) => `isTimestamp(${left})`,
};

/** RFC 3339, as the language asks for. */
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

const COMBINERS = ["And", "Or", "Not"] as const;
const BESIDES: ReadonlySet<string> = new Set(["Variable", "Next", "Comment"]);

/** The condition of a choice rule; `false` and a complaint if it has none. */
export function choiceToCel(
  rule: JsonObject,
  scope: Scope,
  pointer: string,
  complain: Complain,
): string {
  for (const key of COMBINERS) {
    const part = own(rule, key);
    if (part === undefined) continue;
    if (Object.keys(rule).some((other) => other !== key && !BESIDES.has(other))) {
      complain(pointer, `a choice rule has nothing beside its \`${key}\` but Next and Comment`);
    }
    return combine(key, part, scope, joinPointer(pointer, key), complain);
  }
  const keys = Object.keys(rule).filter((key) => !BESIDES.has(key));
  const [operator] = keys;
  if (operator === undefined || keys.length > 1) {
    complain(pointer, "a choice rule has one comparison, And, Or or Not");
    return "false";
  }
  const variable = own(rule, "Variable");
  if (typeof variable !== "string") {
    complain(pointer, "a comparison has a `Variable`");
    return "false";
  }
  const at = joinPointer(pointer, operator);
  const value = own(rule, operator) ?? null;
  const left = { variable, pointer: joinPointer(pointer, "Variable") };
  return compare(operator, left, value, scope, at, complain);
}

function combine(
  key: (typeof COMBINERS)[number],
  part: Json,
  scope: Scope,
  pointer: string,
  complain: Complain,
): string {
  const list = key === "Not" ? [part] : Array.isArray(part) ? part : [];
  if (list.length === 0 || list.some((item) => !asObject(item))) {
    complain(pointer, `\`${key}\` needs ${key === "Not" ? "a rule" : "a list of rules"}`);
    return "false";
  }
  const parts = list.map((item, i) => {
    const at = key === "Not" ? pointer : joinPointer(pointer, i);
    return choiceToCel(asObject(item) ?? {}, scope, at, complain);
  });
  if (key === "Not") return `!(${parts[0] ?? ""})`;
  const wrapped = parts.map((cel) => (parts.length > 1 ? `(${cel})` : cel));
  return wrapped.join(key === "And" ? " && " : " || ");
}

function compare(
  operator: string,
  { variable, pointer }: { variable: string; pointer: string },
  value: Json,
  scope: Scope,
  at: string,
  complain: Complain,
): string {
  if (operator === "IsPresent") return present(variable, value, scope, pointer, complain);
  const left = readExpression(variable, scope, pointer, complain);
  const question = Object.hasOwn(QUESTIONS, operator) ? QUESTIONS[operator] : undefined;
  if (question) {
    if (typeof value !== "boolean") complain(at, `\`${operator}\` is true or false`);
    return value === false ? `!(${question(left)})` : question(left);
  }
  if (operator === "StringMatches") {
    if (typeof value === "string") return `${guarded([text(left)], matches(left, value))}`;
    complain(at, "`StringMatches` takes a string");
    return "false";
  }
  const isPath = operator.endsWith("Path");
  const name = isPath ? operator.slice(0, -4) : operator;
  const found = Object.hasOwn(COMPARISONS, name) ? COMPARISONS[name] : undefined;
  if (!found) {
    complain(at, `there is no comparison \`${operator}\``);
    return "false";
  }
  if (isPath && typeof value === "string") {
    return found.write(left, readExpression(value, scope, at, complain));
  }
  const isTime = found.takes === "timestamp";
  if (isTime && !isPath && !(typeof value === "string" && TIMESTAMP.test(value))) {
    complain(at, `\`${operator}\` takes a timestamp with its zone, such as 2026-01-31T08:00:00Z`);
    return "false";
  }
  const type = isTime ? "string" : found.takes;
  if (isPath || typeof value !== type) {
    complain(at, `\`${operator}\` takes a ${isPath ? "path" : found.takes}`);
    return "false";
  }
  return found.write(left, literal(value));
}

function present(
  variable: string,
  value: Json,
  { root, place }: Scope,
  pointer: string,
  complain: Complain,
): string {
  if (variable.startsWith("$$")) {
    readExpression(variable, { root, place }, pointer, complain);
    return value === false ? "false" : "true";
  }
  try {
    const cel = hasAll(root.cel, parsePath(variable.slice(1)));
    return value === false ? `!${cel}` : cel;
  } catch (error) {
    if (!(error instanceof PathProblem)) throw error;
    complain(pointer, error.message);
    return "false";
  }
}

/** `*` stands for any text, `\*` for itself. */
function matches(left: string, pattern: string): string {
  const parts = pattern.match(/\\[*\\]|\*|[^*\\]+|\\/g) ?? [];
  const regex = parts.map((part) => {
    if (part === "*") return ".*";
    const plain = part.length === 2 && part.startsWith("\\") ? part.slice(1) : part;
    return plain.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  });
  return `${left}.matches(${quote(`(?s)^${regex.join("")}$`)})`;
}
