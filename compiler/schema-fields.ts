/**
 * What a JSON Schema says of a field: its own schema, that there is none, or nothing.
 *
 * Only what is certain: a field does not exist where an object is closed
 * (`additionalProperties: false`) and does not name it. Where an open one lists others it is unlisted:
 * it may be there. Alternatives (`anyOf`, `oneOf`), patterns and references out of the schema say
 * nothing here.
 */
import { asObject, own } from "./document.ts";
import type { JsonObject } from "./document.ts";
import type { Json } from "./ir.ts";

export type FieldAnswer =
  /** `mayMiss`: the place in the path of the first name that its object need not have. */
  | { kind: "found"; schema: JsonObject; mayMiss?: number }
  /** `at` is the place in the path of the name that does not exist. */
  | { kind: "missing"; at: number; known: string[] }
  /** Likewise, of one that is not ruled out. */
  | { kind: "unlisted"; at: number; known: string[] }
  | { kind: "open" };

const OPEN: FieldAnswer = { kind: "open" };
const REFERENCES_MAX = 16;

/** Follow a path of names and positions into a schema. */
export function fieldOf(schema: Json | null | undefined, path: readonly string[]): FieldAnswer {
  const root = asObject(schema ?? undefined);
  if (!root) return OPEN;
  let at = resolve(root, root);
  let mayMiss: number | undefined;
  for (const [place, name] of path.entries()) {
    if (!at || !isPlain(at)) return OPEN;
    const next =
      /^\d+$/.test(name) && own(at, "items") !== undefined
        ? own(at, "items")
        : own(asObject(own(at, "properties")) ?? {}, name);
    if (next === undefined) {
      if (own(at, "type") !== "object" || own(at, "patternProperties") !== undefined) return OPEN;
      const known = Object.keys(asObject(own(at, "properties")) ?? {});
      if (own(at, "additionalProperties") === false) return { kind: "missing", at: place, known };
      return known.length === 0 ? OPEN : { kind: "unlisted", at: place, known };
    }
    if (mayMiss === undefined && leavesOut(at, name)) mayMiss = place;
    const below = asObject(next);
    at = below && resolve(below, root);
  }
  if (!at) return OPEN;
  return { kind: "found", schema: at, ...(mayMiss !== undefined && { mayMiss }) };
}

/** Whether a schema says which properties there must be, and leaves this one out. */
function leavesOut(schema: JsonObject, name: string): boolean {
  const required = own(schema, "required");
  const isListed = Object.hasOwn(asObject(own(schema, "properties")) ?? {}, name);
  return isListed && Array.isArray(required) && required.length > 0 && !required.includes(name);
}

/** The types that values of a schema can have, as `typeof` says them; undefined: not known. */
export function typesOf(schema: JsonObject): Set<string> | undefined {
  if (!isPlain(schema)) return undefined;
  const listed = own(schema, "enum");
  if (Array.isArray(listed)) return new Set(listed.map((value) => typeName(value)));
  const constant = own(schema, "const");
  if (constant !== undefined) return new Set([typeName(constant)]);
  const type = own(schema, "type");
  const types = Array.isArray(type) ? type : [type];
  const names = types.map((name) => (name === "integer" ? "number" : name));
  return names.every((name) => typeof name === "string") ? new Set(names as string[]) : undefined;
}

/** As JSON Schema calls it. */
export function typeName(value: Json): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

/** Nothing in it that could allow something else. */
function isPlain(schema: JsonObject): boolean {
  return !["anyOf", "oneOf", "allOf", "if", "$ref", "$dynamicRef", "not"].some((key) =>
    Object.hasOwn(schema, key),
  );
}

/** The schema behind a reference within the same schema. */
function resolve(schema: JsonObject, root: JsonObject): JsonObject | undefined {
  let at: JsonObject | undefined = schema;
  for (let left = REFERENCES_MAX; at && left > 0; left--) {
    const reference: Json | undefined = own(at, "$ref");
    if (typeof reference !== "string") return at;
    if (!reference.startsWith("#/")) return undefined;
    let target: Json | undefined = root;
    for (const name of reference.slice(2).split("/")) {
      const key = name.replaceAll("~1", "/").replaceAll("~0", "~");
      target = own(asObject(target) ?? {}, key);
    }
    at = asObject(target);
  }
  return undefined;
}
