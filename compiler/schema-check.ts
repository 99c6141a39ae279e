/**
 * Checking values against our own JSON Schemas, with messages for people.
 *
 * ajv finds what is wrong; this file says it in our words, at the right pointer. A schema may carry
 * `x-expect`, the words for what it wants: where an `anyOf` fails, ajv tells how each alternative
 * failed, and the reader only wants to know what would be right.
 */
import type { ErrorObject, ValidateFunction } from "ajv/dist/2020.js";
import { newAjv } from "./ajv.ts";
import type { Json } from "./ir.ts";
import { REPORTED_MAX } from "./diagnostics.ts";
import { SCHEMA_KEYWORDS, SCHEMA_OPTIONS } from "./schema-options.ts";
import { SCHEMAS } from "./schemas.ts";
import { valueHint } from "./slips.ts";
import { joinPointer } from "./source-map.ts";
import { VALIDATORS } from "./validators.ts";

export interface SchemaProblem {
  kind: "unknown" | "missing" | "wrong";
  /** Of the value, relative to the one that was checked. */
  pointer: string;
  message: string;
  /** The property that is missing. */
  missing?: string;
  /** A misspelt name, and those that are known at its place. */
  meant?: { name: string; known: readonly string[] };
  hint?: string;
}

const compiled = new WeakMap<object, ValidateFunction>();

/** The problems of `value`; none if it fits. A schema object is compiled once, if at all. */
export function checkSchema(schema: object, value: Json): SchemaProblem[] {
  let validate = compiled.get(schema);
  if (!validate) {
    validate = madeBefore(schema) ?? makeNow(schema);
    compiled.set(schema, validate);
  }
  if (validate(value)) return [];
  return describeErrors(validate.errors ?? []);
}

function madeBefore(schema: object): ValidateFunction | undefined {
  const name = [...SCHEMAS].find(([, known]) => known === schema)?.[0];
  return name === undefined ? undefined : VALIDATORS[name];
}

function makeNow(schema: object): ValidateFunction {
  const ajv = newAjv(SCHEMA_OPTIONS);
  for (const keyword of SCHEMA_KEYWORDS) ajv.addKeyword(keyword);
  return ajv.compile(schema);
}

function describeErrors(errors: readonly ErrorObject[]): SchemaProblem[] {
  // More than can be shown are not put into words.
  const problems = errors
    .filter((error) => !/\/(?:anyOf|oneOf)\/\d+\//.test(error.schemaPath))
    // What is wrong by `then` or `else` is told by itself.
    .filter((error) => error.keyword !== "if")
    .slice(0, 2 * REPORTED_MAX)
    .map(describeError);
  // One value that breaks several rules of a schema with `x-expect` says the same thing each time.
  const seen = new Set<string>();
  return problems.filter((problem) => {
    const key = `${problem.pointer}\n${problem.message}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function describeError(error: ErrorObject): SchemaProblem {
  const parent = error.parentSchema as { properties?: object; "x-expect"?: string } | undefined;
  const pointer = error.instancePath;
  const params = error.params as Record<string, unknown>;
  if (error.keyword === "additionalProperties") {
    const name = String(params["additionalProperty"]);
    return {
      kind: "unknown",
      pointer: joinPointer(pointer, name),
      message: `unknown property \`${name}\``,
      meant: { name, known: Object.keys(parent?.properties ?? {}) },
    };
  }
  if (error.keyword === "required") {
    const name = String(params["missingProperty"]);
    return { kind: "missing", pointer, missing: name, message: `\`${name}\` is missing` };
  }
  const subject = pointer === "" ? "the value" : `\`${nameOf(pointer)}\``;
  const expected = parent?.["x-expect"];
  const found = describeValue(error.data as Json);
  if (expected !== undefined) {
    // "must be an object with a or b, not an object" helps nobody.
    const isObject = found === "an object" && expected.startsWith("an object");
    const keys = Object.keys((error.data ?? {}) as object);
    const shown = keys.map((key) => `\`${key}\``).join(", ");
    if (isObject) {
      const given = keys.length === 0 ? "it is empty" : `it has ${shown}`;
      const message = `${subject} must be ${expected}; ${cut(given)}`;
      return { kind: "wrong", pointer, message };
    }
    // YAML reads 12, 1.0 and yes as no text where they stand bare.
    const isBare = params["type"] === "string" && ["number", "boolean"].includes(typeof error.data);
    const remedy = isBare ? ": put it in quotes" : "";
    const message = `${subject} must be ${expected}, not ${found}${remedy}`;
    const hint = valueHint(error.data as Json, expected, pointer);
    return { kind: "wrong", pointer, message, ...(hint !== undefined && { hint }) };
  }
  if (error.keyword === "enum") {
    const allowed = params["allowedValues"] as Json[];
    const shown = allowed.map((value) => JSON.stringify(value)).join(", ");
    return {
      kind: "wrong",
      pointer,
      message: `${subject} must be one of ${shown}, not ${found}`,
      ...(typeof error.data === "string"
        ? { meant: { name: error.data, known: allowed.map(String) } }
        : {}),
    };
  }
  return {
    kind: "wrong",
    pointer,
    message: `${subject} ${error.message ?? "is wrong"}, not ${found}`,
  };
}

/** What is at a pointer, as a reader knows it: its key, or of a list's element `edges[0]`. */
function nameOf(pointer: string): string {
  const [last = "", before] = pointer.split("/").toReversed();
  return /^\d+$/.test(last) && before !== undefined && before !== "" ? `${before}[${last}]` : last;
}

function cut(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}

/** A value as it is shown in messages, cut short. */
export function describeValue(value: Json): string {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
