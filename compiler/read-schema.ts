/** JSON Schemas of authors: of the run's input, and of what nodes take and give. */
import type { Reporter } from "./diagnostics.ts";
import { asObject, own } from "./document.ts";
import type { JsonObject } from "./document.ts";
import type { Json } from "./ir.ts";
import { findUserSchemaProblem } from "./user-schema.ts";

/** The schema in `object[key]`, null if there is none. Reports GV1015 for what is none. */
export function readSchema(
  object: JsonObject,
  key: "input_schema" | "output_schema",
  pointer: string,
  reporter: Reporter,
): Json | null {
  const schema = own(object, key);
  if (schema === undefined || schema === null) return null;
  const isSchema = typeof schema === "boolean" || asObject(schema) !== undefined;
  const problem = isSchema ? findUserSchemaProblem(schema) : undefined;
  if (problem) {
    const message = `${key} ${problem.message}`;
    reporter.report({ code: "GV1015", pointer: `${pointer}/${key}${problem.pointer}`, message });
  }
  return schema;
}
