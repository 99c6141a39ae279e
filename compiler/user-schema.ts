/**
 * JSON Schemas that authors write: for a run's input, a signal, a form.
 *
 * They are used where the engine runs, on data of strangers. So they are bounded in size (making a
 * validator of a large one takes seconds), their patterns must be such that can be matched in linear
 * time, and they must make a validator by the very function that makes it there.
 */
import { schemaPatternProblem, schemaPatternsProblem } from "../condition/index.ts";
import { asObject, own, type JsonObject } from "./document.ts";
import { sha256 } from "./hash.ts";
import type { Json } from "./ir.ts";
import { anchorsOf, resolveRef, walkSchemas } from "./schema-parts.ts";
import { findWeightProblem } from "./schema-weight.ts";
import { joinPointer } from "./source-map.ts";
import { makeValidator, metaProblem } from "./user-validator.ts";

/** Values of a schema, of all kinds. */
const VALUES_MAX = 5000;
/** Schemas whose answer is kept: files have the same one at many nodes. */
const KNOWN_MAX = 1000;

export interface SchemaFault {
  /** Relative to the schema. */
  pointer: string;
  message: string;
}

const known = new Map<string, SchemaFault | null>();

/** What is wrong with a JSON Schema that a user wrote, or undefined. */
export function findUserSchemaProblem(schema: Json): SchemaFault | undefined {
  if (countValues(schema, 0) > VALUES_MAX) {
    return { pointer: "", message: `is too large: more than ${VALUES_MAX} values` };
  }
  const key = sha256(JSON.stringify(schema));
  const before = known.get(key);
  if (before !== undefined) return before ?? undefined;
  if (known.size >= KNOWN_MAX) known.clear();
  const found = findFault(schema);
  known.set(key, found ?? null);
  return found;
}

function findFault(schema: Json): SchemaFault | undefined {
  const wrong = metaOf(schema);
  if (wrong !== undefined) return wrong;
  const large = findLargePatterns(schema);
  if (large !== undefined) return { pointer: "", message: `has ${large}` };
  let fault: SchemaFault | undefined;
  const anchors = anchorsOf(schema);
  walkSchemas(schema, (part, pointer) => {
    fault ??= findPartFault(part, pointer, (ref) => resolveRef(schema, ref, anchors));
  });
  if (fault !== undefined) return fault;
  const heavy = findWeightProblem(schema);
  if (heavy !== undefined) return { pointer: "", message: heavy };
  const made = makeValidator(schema);
  return typeof made === "string" ? { pointer: "", message: `cannot be used: ${made}` } : undefined;
}

function metaOf(schema: Json): SchemaFault | undefined {
  try {
    const problem = metaProblem(schema);
    if (problem === null) return undefined;
    return { pointer: problem.path, message: `is no JSON Schema: ${problem.message}` };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { pointer: "", message: `cannot be used: ${message}` };
  }
}

/** Stops a little after the limit. */
function countValues(value: Json, before: number): number {
  let count = before + 1;
  if (typeof value !== "object" || value === null) return count;
  for (const part of Object.values(value)) {
    if (count > VALUES_MAX) return count;
    count = countValues(part, count);
  }
  return count;
}

/** Before any of them is made. */
function findLargePatterns(schema: Json): string | undefined {
  const patterns: string[] = [];
  walkSchemas(schema, (part) => {
    const pattern = own(part, "pattern");
    if (typeof pattern === "string") patterns.push(pattern);
    patterns.push(...Object.keys(asObject(own(part, "patternProperties")) ?? {}));
  });
  return schemaPatternsProblem(patterns);
}

/** One schema of the document, without those that stand in it. */
function findPartFault(
  part: JsonObject,
  pointer: string,
  resolve: (ref: string) => Json | undefined,
): SchemaFault | undefined {
  const pattern = own(part, "pattern");
  if (typeof pattern === "string") {
    const fault = judge(pattern, `${pointer}/pattern`);
    if (fault) return fault;
  }
  for (const name of Object.keys(asObject(own(part, "patternProperties")) ?? {})) {
    const fault = judge(name, joinPointer(`${pointer}/patternProperties`, name));
    if (fault) return fault;
  }
  const at = (key: string, message: string): SchemaFault => ({
    pointer: joinPointer(pointer, key),
    message,
  });
  if (Object.hasOwn(part, "$async")) return at("$async", "has `$async`: data is checked at once");
  if (pointer !== "" && Object.hasOwn(part, "$id")) {
    return at("$id", "has a part with an `$id` of its own: only the whole schema may have one");
  }
  for (const key of ["$dynamicRef", "$recursiveRef"]) {
    if (Object.hasOwn(part, key)) return at(key, `has \`${key}\`: use \`$ref\``);
  }
  const ref = own(part, "$ref");
  if (typeof ref !== "string" || META.test(ref)) return undefined;
  const target = resolve(ref);
  if (typeof target === "boolean" || asObject(target)) return undefined;
  return at("$ref", `refers to "${ref}", which is no schema in it: write \`#/$defs/…\``);
}

/** Schemas of schemas are known to the library, and do not refer to ours. */
const META = /^https?:\/\/json-schema\.org\/draft\/2020-12\//;

function judge(pattern: string, pointer: string): SchemaFault | undefined {
  const problem = schemaPatternProblem(pattern);
  const message = `has a pattern that is no RE2: ${problem ?? ""}`;
  return problem === undefined ? undefined : { pointer, message };
}
