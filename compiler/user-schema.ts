/**
 * JSON Schemas that authors write: for a run's input, a signal, a form.
 *
 * They are used where the engine runs, on data of strangers. So they are bounded in size (making a
 * validator of a large one takes seconds), and their patterns must be such that can be matched in
 * linear time.
 */
import type { AnySchema } from "ajv/dist/2020.js";
import { schemaPatternProblem } from "../condition/index.ts";
import { newAjv } from "./ajv.ts";
import type { Json } from "./ir.ts";
import { findWeightProblem } from "./schema-weight.ts";
import { joinPointer } from "./source-map.ts";

/** Values of a schema, of all kinds. */
const VALUES_MAX = 5000;

export interface SchemaFault {
  /** Relative to the schema. */
  pointer: string;
  message: string;
}

/** What is wrong with a JSON Schema that a user wrote, or undefined. */
export function findUserSchemaProblem(schema: Json): SchemaFault | undefined {
  const walk = { values: 0, fault: undefined as SchemaFault | undefined };
  visit(schema, "", walk);
  if (walk.values > VALUES_MAX) {
    return { pointer: "", message: `is too large: more than ${VALUES_MAX} values` };
  }
  if (walk.fault) return walk.fault;
  const heavy = findWeightProblem(schema);
  if (heavy !== undefined) return { pointer: "", message: heavy };
  // An instance of its own: a user's `$id` must neither clash with another's nor stay in memory.
  const checker = newAjv({ strict: false, validateFormats: false });
  try {
    if (!checker.validateSchema(schema as AnySchema)) {
      const first = checker.errors?.[0];
      const message = `is no JSON Schema: ${first?.message ?? "it is wrong"}`;
      return { pointer: first?.instancePath ?? "", message };
    }
    checker.compile(schema as AnySchema);
    return undefined;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { pointer: "", message: `cannot be used: ${message}` };
  }
}

/** Keywords whose values are data, in which `pattern` is only a name. */
const DATA = new Set(["const", "enum", "default", "examples"]);

function visit(
  value: Json,
  pointer: string,
  walk: { values: number; fault: SchemaFault | undefined },
): void {
  if (++walk.values > VALUES_MAX || typeof value !== "object" || value === null) return;
  for (const [key, part] of Object.entries(value)) {
    const at = joinPointer(pointer, key);
    if (key === "pattern" && typeof part === "string") walk.fault ??= judge(part, at);
    if (key === "patternProperties" && typeof part === "object" && part !== null) {
      for (const name of Object.keys(part)) walk.fault ??= judge(name, joinPointer(at, name));
    }
    if (!DATA.has(key)) visit(part, at, walk);
    else walk.values += JSON.stringify(part).length / 10;
  }
}

function judge(pattern: string, pointer: string): SchemaFault | undefined {
  const problem = schemaPatternProblem(pattern);
  const message = `has a pattern that is no RE2: ${problem ?? ""}`;
  return problem === undefined ? undefined : { pointer, message };
}
