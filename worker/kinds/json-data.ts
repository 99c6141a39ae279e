/** Comparing and walking JSON values, for the kinds that transform data. */
import type { Json } from "../../compiler/ir.ts";

export function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The same text for equal values, whatever the order of their keys. */
export function canonicalText(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const fields = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalText(value[key] ?? null)}`);
  return `{${fields.join(",")}}`;
}

/** A total order: null, false, true, numbers, strings by code unit, then lists and objects by text. */
export function compareJson(a: Json, b: Json): number {
  const byKind = rank(a) - rank(b);
  if (byKind !== 0) return byKind;
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [left, right] = typeof a === "string" && typeof b === "string" ? [a, b] : texts(a, b);
  return left < right ? -1 : left > right ? 1 : 0;
}

function texts(a: Json, b: Json): [string, string] {
  return [canonicalText(a), canonicalText(b)];
}

function rank(value: Json): number {
  if (value === null) return 0;
  if (typeof value === "boolean") return 1;
  if (typeof value === "number") return 2;
  if (typeof value === "string") return 3;
  return Array.isArray(value) ? 4 : 5;
}

/**
 * The value again, of which nothing is the former's: whoever gets it may change it. Written out, as
 * structuredClone and JSON's functions take several times as long for the small ones that most are.
 */
export function copyOf(value: Json): Json {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const list = value.slice();
    for (let i = 0; i < list.length; i++) {
      const item = list[i] as Json;
      if (typeof item === "object" && item !== null) list[i] = copyOf(item);
    }
    return list;
  }
  // All keys are its own by now, `__proto__` too, so that an assignment sets that key.
  const fields = { ...value };
  for (const key of Object.keys(fields)) {
    const field = fields[key] as Json;
    if (typeof field === "object" && field !== null) fields[key] = copyOf(field);
  }
  return fields;
}

/** The value with every string in it replaced, deep; keys stay as they are. */
export function mapStrings(value: Json, change: (text: string) => string): Json {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, change));
  if (!isObject(value)) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([key, item]) => [key, mapStrings(item, change)]));
}

/** The value at a path such as ["address", "city"]; undefined if there is none. Own keys only. */
export function fieldAt(value: Json, path: readonly string[]): Json | undefined {
  let at: Json = value;
  for (const part of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as { [key: string]: Json })[part] ?? null;
  }
  return at;
}
