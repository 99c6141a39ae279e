/**
 * What handlers return, as JSON.
 *
 * JSON.stringify is no judge of this: it drops functions and turns NaN and Maps into something else
 * without a word, and the loss shows three nodes later. Here such a result fails at the node that
 * made it, with the place. Parts that are JSON already are not copied.
 */
import type { Json } from "../../compiler/ir.ts";
import { ExecutionError } from "./kind.ts";

/** Deeper than this is a structure that refers to itself, or one that no store should be given. */
const RESULT_DEPTH_MAX = 200;

/**
 * A handler's result as JSON: undefined becomes null, in objects it is left out; what has `toJSON`
 * (a Date) is asked. Throws ExecutionError HANDLER_ERROR for anything that JSON cannot hold.
 */
export function toJsonResult(value: unknown): Json {
  if (value === undefined || value === null) return null;
  return convert(value, []);
}

function convert(value: unknown, path: string[]): Json {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value)) return value;
      return refuse(path, `${value}, which JSON does not have; return null or a text instead`);
    case "bigint":
      return refuse(path, "a BigInt, which JSON does not have; return Number(x) or String(x)");
    case "undefined":
      return null;
    case "object":
      return value === null ? null : convertObject(value, path);
    default:
      return refuse(path, `a ${typeof value}; return data only`);
  }
}

function convertObject(value: object, path: string[]): Json {
  if (path.length >= RESULT_DEPTH_MAX) {
    return refuse(path, `nested deeper than ${RESULT_DEPTH_MAX} levels, or it contains itself`);
  }
  if (Array.isArray(value)) return convertList(value, path);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    // Only of class instances: in a plain object `toJSON` may be a key of the data.
    if ("toJSON" in value && typeof value.toJSON === "function") {
      const replaced: unknown = (value as { toJSON(): unknown }).toJSON();
      return replaced === value ? convertFields(value, path) : convert(replaced, path);
    }
    assertHasFields(value, path);
  }
  return convertFields(value, path);
}

/** Containers whose contents are not properties: JSON would make `{}` of them. */
function assertHasFields(value: object, path: string[]): void {
  if (value instanceof Map) refuse(path, "a Map; return Object.fromEntries(map)");
  if (value instanceof Set) refuse(path, "a Set; return [...set]");
  if (value instanceof Promise) refuse(path, "a Promise; await it first");
  if (value instanceof Error) refuse(path, "an Error; throw it, or return its message");
  if (value instanceof RegExp) refuse(path, "a RegExp; return its source");
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    refuse(path, "binary data; return it as base64 text");
  }
}

function convertList(list: readonly unknown[], path: string[]): Json {
  let copy: Json[] | null = null;
  for (let i = 0; i < list.length; i++) {
    const item = list[i];
    path.push(String(i));
    const converted = convert(item, path);
    path.pop();
    if (copy === null && converted !== item) copy = list.slice(0, i) as Json[];
    copy?.push(converted);
  }
  return copy ?? (list as Json[]);
}

function convertFields(value: object, path: string[]): Json {
  const fields = value as { [key: string]: unknown };
  const prototype: unknown = Object.getPrototypeOf(value);
  let changed = prototype !== Object.prototype;
  // Entries rather than assignment: a key `__proto__` is data too.
  const entries: [string, Json][] = [];
  for (const key of Object.keys(fields)) {
    const field = fields[key];
    if (field === undefined) {
      changed = true;
      continue;
    }
    path.push(key);
    const converted = convert(field, path);
    path.pop();
    if (converted !== field) changed = true;
    entries.push([key, converted]);
  }
  return changed ? Object.fromEntries(entries) : (fields as { [key: string]: Json });
}

function refuse(path: string[], what: string): never {
  const shown = path.length > 8 ? [...path.slice(0, 8), "…"] : path;
  const place = shown.map((part) => `.${part}`).join("");
  throw new ExecutionError("HANDLER_ERROR", `the function's result${place} is ${what}`, {
    retryable: false,
  });
}
