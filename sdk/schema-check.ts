/**
 * Does data from outside (a run's input, a signal's payload, an approval's form) fit its JSON Schema?
 * Asked where it comes in, so that the sender is told, and again by whoever uses it.
 *
 * Patterns are matched in linear time: schemas and data are strangers' texts. The validator is loaded
 * with the first schema: most processes never meet one, and it is a hundred files.
 */
import { createRequire } from "node:module";
import type { Ajv2020, ValidateFunction } from "ajv/dist/2020.js";
import { RE2JS } from "re2js";
import type { Json } from "../compiler/ir.ts";

const COMPILED_MAX = 500;
const PROBLEMS_MAX = 5;
const compiled = new Map<string, ValidateFunction | string>();

const require = createRequire(import.meta.url);
let makeAjv: ((options: object) => Ajv2020) | null = null;

function ajvOf(options: object): Ajv2020 {
  if (makeAjv === null) {
    const library = require("ajv/dist/2020.js") as { Ajv2020: typeof Ajv2020 };
    const addFormats = require("ajv-formats") as (ajv: Ajv2020) => Ajv2020;
    makeAjv = (given) => addFormats(new library.Ajv2020(given));
  }
  return makeAjv(options);
}

/** A validator, or why there is none. */
export function compileSchema(schema: Json): ValidateFunction | string {
  const linear = (pattern: string): { test(text: string): boolean; toString(): string } => {
    const expression = RE2JS.compile(RE2JS.translateRegExp(pattern));
    // ajv tells patterns apart by their text.
    return { test: (text) => expression.matcher(text).find(), toString: () => pattern };
  };
  linear.code = "linear";
  try {
    const options = { strict: false, allErrors: true, code: { regExp: linear as never } };
    return ajvOf(options).compile(schema as { [key: string]: Json });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What is wrong with `value`, in one line; null if it fits, or if there is no schema. */
export function misfit(schema: Json | undefined, value: Json): string | null {
  if (schema === undefined || schema === null) {
    return null;
  }
  const text = JSON.stringify(schema);
  let validate = compiled.get(text);
  if (validate === undefined) {
    if (compiled.size >= COMPILED_MAX) {
      compiled.clear();
    }
    validate = compileSchema(schema);
    compiled.set(text, validate);
  }
  if (typeof validate === "string") {
    return `its schema cannot be used: ${validate}`;
  }
  try {
    if (validate(value)) {
      return null;
    }
  } catch {
    return "it is nested too deeply";
  }
  const problems = (validate.errors ?? []).slice(0, PROBLEMS_MAX);
  return problems
    .map(({ instancePath, message }) => `${instancePath || "it"} ${message ?? "does not fit"}`)
    .join("; ");
}
