/**
 * Equality of values, deep, by CEL's rule that numbers are equal if they are the same number,
 * whatever their kind: `[1] == [1.0]`. Reads own keys only, so that `__proto__` and `constructor`
 * in data are keys like any other (the library looks them up through the prototype).
 */
import { Optional } from "@marcbachmann/cel-js";
import { Duration, UnsignedInt } from "@marcbachmann/cel-js/evaluator";
import { isPlainObject } from "./json.ts";
import { CHARACTERS_PER_UNIT, ELEMENTS_PER_UNIT } from "./limits.ts";
import { spendWork } from "./work.ts";

/** Whether two values are equal. Values of different kinds are not; NaN equals nothing. */
export function equalValues(a: unknown, b: unknown): boolean {
  if (typeof a === "string" && typeof b === "string") return equalTexts(a, b);
  if (a === b) return true;
  const left = comparable(a);
  const right = comparable(b);
  if (typeof left !== "object" || typeof right !== "object") return looselyEqual(left, right);
  if (left === null || right === null) return false;
  if (Array.isArray(left)) return Array.isArray(right) && equalLists(left, right);
  if (left instanceof Map || isPlainObject(left)) {
    return (right instanceof Map || isPlainObject(right)) && equalMaps(left, right);
  }
  return equalObjects(left, right);
}

function equalTexts(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  spendWork(Math.floor(a.length / CHARACTERS_PER_UNIT));
  return a === b;
}

/**
 * What two values have in common, as a key of a Set, if and only if they are equal. Undefined for those
 * that have none: what is no JSON and no number (dates, bytes), and NaN.
 */
export function equalityKey(value: unknown): string | undefined {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") {
    spendWork(Math.floor(value.length / CHARACTERS_PER_UNIT));
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) {
    spendWork(Math.ceil(value.length / ELEMENTS_PER_UNIT));
    return keyOfParts("[", value.map(equalityKey));
  }
  if (isPlainObject(value)) {
    const names = Object.keys(value).sort();
    spendWork(Math.ceil(names.length / ELEMENTS_PER_UNIT));
    const parts = names.map((name) => [JSON.stringify(name), equalityKey(value[name])]);
    return keyOfParts("{", parts.flat());
  }
  return keyOfNumber(value instanceof UnsignedInt ? value.valueOf() : value);
}

function keyOfParts(kind: string, parts: readonly (string | undefined)[]): string | undefined {
  return parts.includes(undefined) ? undefined : `${kind}${parts.join(",")}`;
}

/** The same for a bigint and a double if they are the same number exactly. */
function keyOfNumber(value: unknown): string | undefined {
  if (typeof value === "bigint") {
    const near = Number(value);
    return Number.isFinite(near) && BigInt(near) === value ? `n${near}` : `i${value}`;
  }
  return typeof value !== "number" || Number.isNaN(value) ? undefined : `n${value}`;
}

/** Numbers of the three kinds and sets in a form that can be compared directly. */
function comparable(value: unknown): unknown {
  if (value instanceof UnsignedInt) return value.valueOf();
  return value instanceof Set ? [...value] : value;
}

function looselyEqual(a: unknown, b: unknown): boolean {
  const isNumber = (v: unknown): boolean => typeof v === "number" || typeof v === "bigint";
  // Relations compare a bigint with a number exactly, without rounding either.
  return isNumber(a) && isNumber(b)
    ? (a as number) <= (b as number) && (a as number) >= (b as number)
    : a === b;
}

function equalLists(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  spendWork(Math.ceil(a.length / ELEMENTS_PER_UNIT));
  return a.every((item, i) => equalValues(item, b[i]));
}

type MapLike = Map<unknown, unknown> | { [key: string]: unknown };

function equalMaps(a: MapLike, b: MapLike): boolean {
  const entries = a instanceof Map ? [...a] : Object.entries(a);
  const size = b instanceof Map ? b.size : Object.keys(b).length;
  if (entries.length !== size) return false;
  spendWork(Math.ceil(size / ELEMENTS_PER_UNIT));
  return entries.every(([key, item]) => {
    if (b instanceof Map) return b.has(key) && equalValues(item, b.get(key));
    const name = String(key);
    return Object.hasOwn(b, name) && equalValues(item, b[name]);
  });
}

function equalObjects(a: object, b: object): boolean {
  if (a instanceof Date) return b instanceof Date && a.getTime() === b.getTime();
  if (a instanceof Duration) {
    return b instanceof Duration && a.seconds === b.seconds && a.nanos === b.nanos;
  }
  if (a instanceof Uint8Array) {
    return b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  }
  if (a instanceof Optional && b instanceof Optional) {
    if (!a.hasValue() || !b.hasValue()) return a.hasValue() === b.hasValue();
    return equalValues(a.value(), b.value());
  }
  return false;
}
