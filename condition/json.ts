/**
 * Data between JSON and the expression language.
 *
 * Data may have any keys, also `constructor`, `__proto__` and `toString`, and they are only data.
 * Nothing has to be converted for that on the way in: JSON.parse makes `__proto__` an own property,
 * fields.ts reads fields by ownership, and library.ts tells kinds of values by their prototype,
 * never by their `constructor`. So evaluation copies nothing, whatever the size of the document. What is
 * left is the way out, where results that only the language knows become JSON again.
 */
import { Optional } from "@marcbachmann/cel-js";
import { Duration, UnsignedInt } from "@marcbachmann/cel-js/evaluator";
import { RESULT_SIZE_MAX } from "./limits.ts";
import type { Json } from "./types.ts";

/** Parse JSON text into data for expressions. Throws SyntaxError like JSON.parse. */
export function parseData(text: string): Json {
  return JSON.parse(text) as Json;
}

/**
 * Make a value that came from elsewhere (a handler's result) into data for expressions: what JSON
 * would keep of it. JSON values come back as they are, without a copy.
 */
export function toData(value: Json): Json {
  return toJson(value);
}

/** Set a key that may be `__proto__`, where plain assignment would change the prototype. */
export function setOwn(target: { [key: string]: Json }, key: string, value: Json): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else {
    target[key] = value;
  }
}

/** Whether a value is a JSON object: by its prototype, since any of its keys may be data. */
export function isPlainObject(value: unknown): value is { [key: string]: unknown } {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** A value that JSON cannot write, such as NaN. The message names the kind, never the value. */
export class NotJsonError extends Error {
  override readonly name = "NotJsonError";
}

/** How large a result may still become: values and characters. A part shared twice counts twice. */
export interface ResultSize {
  left: number;
}

/**
 * The JSON form of a result: ints and uints become numbers, maps objects, timestamps and durations
 * ISO 8601 strings, bytes base64, types their names, an absent optional null. A part that is JSON
 * already is not copied. Throws NotJsonError for NaN, infinity, and a result larger than `size`.
 */
export function toJson(value: unknown, size: ResultSize = { left: Infinity }): Json {
  size.left -= typeof value === "string" ? value.length + 1 : 1;
  if (size.left < 0) {
    const most = RESULT_SIZE_MAX.toLocaleString("en");
    throw new NotJsonError(`the result is too large: over ${most} values and characters`);
  }
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value)) return value;
      throw new NotJsonError("the result is not a finite number (division by zero?)");
    case "bigint":
      return Number(value);
    case "object":
      return value === null ? null : objectToJson(value, size);
    default:
      return null;
  }
}

function objectToJson(value: object, size: ResultSize): Json {
  if (Array.isArray(value)) return listToJson(value, size);
  if (isPlainObject(value)) return plainToJson(value, size);
  if (value instanceof Map) return entriesToJson(value.entries(), size);
  if (value instanceof Set) return listToJson([...value], size);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof UnsignedInt) return Number(value.valueOf());
  if (value instanceof Duration) return isoDuration(value);
  if (value instanceof Optional) return value.hasValue() ? toJson(value.value(), size) : null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if ("name" in value && typeof value.name === "string") return value.name;
  throw new NotJsonError("the result is of a kind that JSON does not have");
}

// Both copy only from the first part that changes on; converting a part twice instead would double
// the work at every level of nesting.
function listToJson(list: readonly unknown[], size: ResultSize): Json[] {
  let copy: Json[] | undefined;
  for (let i = 0; i < list.length; i++) {
    const item = toJson(list[i], size);
    if (copy) copy.push(item);
    else if (item !== list[i]) copy = [...(list.slice(0, i) as Json[]), item];
  }
  return copy ?? (list as Json[]);
}

function plainToJson(value: { [key: string]: unknown }, size: ResultSize): Json {
  // Map literals have no prototype, which surprises callers; JSON's own objects pass as they are.
  let changed = Object.getPrototypeOf(value) === null;
  const entries: [string, Json][] = [];
  for (const key of Object.keys(value)) {
    const item = toJson(value[key], size);
    if (item !== value[key]) changed = true;
    entries.push([key, item]);
  }
  return changed ? ownEntries(entries) : (value as { [key: string]: Json });
}

function entriesToJson(entries: Iterable<[unknown, unknown]>, size: ResultSize): Json {
  return ownEntries([...entries].map(([key, item]) => [String(key), toJson(item, size)]));
}

function ownEntries(entries: readonly [string, Json][]): Json {
  const result: { [key: string]: Json } = {};
  for (const [key, item] of entries) setOwn(result, key, item);
  return result;
}
/** ISO 8601 in seconds, e.g. `PT5400S`, `-PT0.25S`: exact, and read back by any parser. */
function isoDuration(duration: Duration): string {
  const nanos = duration.seconds * 1_000_000_000n + BigInt(duration.nanos);
  const size = nanos < 0n ? -nanos : nanos;
  const fraction = (size % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  const seconds = `${size / 1_000_000_000n}${fraction && `.${fraction}`}`;
  return `${nanos < 0n ? "-" : ""}PT${seconds}S`;
}
