/**
 * How often a JSON Schema looks at one value.
 *
 * `$ref`, `allOf` and the like apply other schemas to the same value, and those again others: thirty
 * definitions that each refer twice to the one before look a thousand million times, and one that
 * comes back to itself never ends. Schemas of properties and elements look at parts of the value and
 * are counted by themselves.
 */
import { asObject, own } from "./document.ts";
import type { Json } from "./ir.ts";

/** Looks at one value that are allowed: large unions have some hundreds. */
const LOOKS_MAX = 10_000;

const ONE = ["not", "if", "then", "else"] as const;
const LISTS = ["allOf", "anyOf", "oneOf"] as const;

/** Why a schema cannot be used on data, or undefined. Only references inside of it are followed. */
export function findWeightProblem(root: Json): string | undefined {
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
    for (const part of appliedTo(object, root)) sum += looks(part);
    open.delete(object);
    known.set(object, sum);
    if (sum > LOOKS_MAX) {
      problem ??= `applies more than ${LOOKS_MAX} schemas to one value, through its references`;
    }
    return sum;
  };
  const visit = (value: Json): void => {
    if (typeof value !== "object" || value === null || problem !== undefined) return;
    looks(value);
    for (const part of Object.values(value)) visit(part);
  };
  visit(root);
  return problem;
}

/** The schemas that look at the same value. */
function* appliedTo(schema: { [key: string]: Json }, root: Json): Generator<Json | undefined> {
  const ref = own(schema, "$ref");
  if (typeof ref === "string") yield resolve(root, ref);
  for (const key of ONE) yield own(schema, key);
  for (const key of LISTS) {
    const list = own(schema, key);
    if (Array.isArray(list)) yield* list;
  }
  yield* Object.values(asObject(own(schema, "dependentSchemas")) ?? {});
}

/** What a reference inside the document names: `#`, `#/$defs/a`. */
function resolve(root: Json, ref: string): Json | undefined {
  if (ref !== "#" && !ref.startsWith("#/")) return undefined;
  let value: Json | undefined = root;
  for (const part of ref.split("/").slice(1)) {
    const key = decode(part);
    if (Array.isArray(value)) value = value[Number(key)];
    else value = own(asObject(value) ?? {}, key);
  }
  return value;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
  } catch {
    return part;
  }
}
