/**
 * How often a JSON Schema looks at one value.
 *
 * `$ref`, `allOf` and the like apply other schemas to the same value, and those again others: thirty
 * definitions that each refer twice to the one before look a thousand million times, and one that
 * comes back to itself never ends. Schemas of properties and elements look at parts of the value and
 * are counted by themselves; how often they look at the parts of one value depends on the data, so
 * that is counted when there are some (schema-budget.ts).
 */
import { asObject, own, type JsonObject } from "./document.ts";
import type { Json } from "./ir.ts";
import { anchorsOf, resolveRef, subSchemas, walkSchemas } from "./schema-parts.ts";

/** Looks at one value that are allowed: large unions have some hundreds. */
const LOOKS_MAX = 10_000;

/** Why a schema cannot be used on data, or undefined. Only references inside of it are followed. */
export function findWeightProblem(root: Json): string | undefined {
  const anchors = anchorsOf(root);
  const known = new Map<object, number>();
  const open = new Set<object>();
  let problem: string | undefined;

  const looks = (schema: Json | undefined): number => {
    const object = asObject(schema);
    if (!object || problem !== undefined) return 0;
    const before = known.get(object);
    if (before !== undefined) return before;
    if (open.has(object)) {
      problem = "refers to itself for the same value: checking it would not end";
      return 0;
    }
    open.add(object);
    let sum = 1;
    for (const part of appliedTo(object, root, anchors)) sum += looks(part);
    open.delete(object);
    known.set(object, sum);
    if (sum > LOOKS_MAX) {
      problem ??= `applies more than ${LOOKS_MAX} schemas to one value, through its references`;
    }
    return sum;
  };
  walkSchemas(root, (schema) => void looks(schema));
  return problem;
}

/** The schemas that look at the same value. */
function* appliedTo(
  schema: JsonObject,
  root: Json,
  anchors: ReadonlyMap<string, Json>,
): Generator<Json | undefined> {
  const ref = own(schema, "$ref");
  if (typeof ref === "string") yield resolveRef(root, ref, anchors);
  for (const part of subSchemas(schema)) if (part.isSame) yield part.schema;
}
