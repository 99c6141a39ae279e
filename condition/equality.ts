/**
 * Equality of values, deep, by CEL's rule that numbers are equal if they are the same number,
 * whatever their kind: `[1] == [1.0]`. Reads own keys only, so that `__proto__` and `constructor`
 * in data are keys like any other (the library looks them up through the prototype).
 */
import { Optional } from "@marcbachmann/cel-js";
import { Duration, UnsignedInt } from "@marcbachmann/cel-js/evaluator";
import { isPlainObject } from "./json.ts";
import { ELEMENTS_PER_UNIT } from "./limits.ts";
import { spendWork } from "./work.ts";

/** Whether two values are equal. Values of different kinds are not; NaN equals nothing. */
export function equalValues(a: unknown, b: unknown): boolean {
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
