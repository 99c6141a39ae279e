/**
 * Which values inside of a JSON Schema are schemas.
 *
 * A property may be called `default`, `enum` or `pattern`: what is a keyword and what is a name goes
 * by where it stands. References inside of the document are followed, since they may make a schema
 * of a value that no keyword does.
 */
import { asObject, own, type JsonObject } from "./document.ts";
import type { Json } from "./ir.ts";
import { joinPointer } from "./source-map.ts";

/** Keywords whose value is a schema; first those for the same value, then those for parts of it. */
const SAME = ["not", "if", "then", "else"] as const;
const PART = [
  ...["items", "contains", "additionalProperties", "propertyNames"],
  ...["unevaluatedItems", "unevaluatedProperties"],
] as const;
const SAME_LISTS = ["allOf", "anyOf", "oneOf"] as const;
const PART_LISTS = ["prefixItems"] as const;
/** Keywords whose value has a schema for each name. */
const SAME_MAPS = ["dependentSchemas", "dependencies"] as const;
const PART_MAPS = ["properties", "patternProperties", "$defs", "definitions"] as const;

/** What has an anchor is a schema by its place. */
const NO_ANCHORS: ReadonlyMap<string, Json> = new Map();

export interface SubSchema {
  schema: Json;
  /** Relative to the one that it stands in. */
  pointer: string;
  /** It looks at the same value; else at a part of it, or it is only defined. */
  isSame: boolean;
}

/** The schemas that stand in this one, without what it refers to. */
export function* subSchemas(schema: JsonObject): Generator<SubSchema> {
  for (const [keys, isSame] of [[SAME, true] as const, [PART, false] as const]) {
    for (const key of keys) {
      const part = own(schema, key);
      if (part !== undefined) yield { schema: part, pointer: `/${key}`, isSame };
    }
  }
  for (const [keys, isSame] of [[SAME_LISTS, true] as const, [PART_LISTS, false] as const]) {
    for (const key of keys) {
      const list = own(schema, key);
      if (!Array.isArray(list)) continue;
      for (const [i, part] of list.entries()) {
        yield { schema: part, pointer: `/${key}/${i}`, isSame };
      }
    }
  }
  for (const [keys, isSame] of [[SAME_MAPS, true] as const, [PART_MAPS, false] as const]) {
    for (const key of keys) {
      for (const [name, part] of Object.entries(asObject(own(schema, key)) ?? {})) {
        yield { schema: part, pointer: joinPointer(`/${key}`, name), isSame };
      }
    }
  }
}

/** Calls `visit` once for each schema of the document, the whole one first. */
export function walkSchemas(
  root: Json,
  visit: (schema: JsonObject, pointer: string) => void,
): void {
  const seen = new Set<object>();
  const refs: string[] = [];
  const open: { schema: Json; pointer: string }[] = [{ schema: root, pointer: "" }];
  for (;;) {
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const { pointer } = at;
      const schema = asObject(at.schema);
      if (schema === undefined || seen.has(schema)) continue;
      seen.add(schema);
      visit(schema, pointer);
      const ref = own(schema, "$ref");
      if (typeof ref === "string") refs.push(ref);
      const parts = [...subSchemas(schema)].reverse();
      for (const part of parts) {
        open.push({ schema: part.schema, pointer: `${pointer}${part.pointer}` });
      }
    }
    // Only when all that keywords make a schema has been seen: its place is the better one to name.
    const ref = refs.pop();
    if (ref === undefined) return;
    const schema = resolveRef(root, ref, NO_ANCHORS);
    if (schema !== undefined) open.push({ schema, pointer: decode(ref.split("#")[1] ?? "") });
  }
}

/** The anchors of a document, by name. */
export function anchorsOf(root: Json): Map<string, Json> {
  const anchors = new Map<string, Json>();
  walkSchemas(root, (schema) => {
    for (const key of ["$anchor", "$dynamicAnchor"] as const) {
      const name = own(schema, key);
      if (typeof name === "string") anchors.set(name, schema);
    }
  });
  return anchors;
}

/** What a reference inside the document names: `#`, `#/$defs/a`, `#name`, or by the own `$id`. */
export function resolveRef(
  root: Json,
  ref: string,
  anchors: ReadonlyMap<string, Json>,
): Json | undefined {
  const [base = "", fragment = ""] = ref.split("#", 2);
  const id = own(asObject(root) ?? {}, "$id");
  if (base !== "" && base !== (typeof id === "string" ? id.split("#")[0] : "")) return undefined;
  if (fragment !== "" && !fragment.startsWith("/")) return anchors.get(decode(fragment));
  let value: Json | undefined = root;
  for (const part of fragment.split("/").slice(1)) {
    const key = decode(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(value)) value = value[Number(key)];
    else value = own(asObject(value) ?? {}, key);
  }
  return value;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
