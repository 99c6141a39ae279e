/**
 * Functions on JSON values that CEL has not: what workflows written for other engines take for
 * granted, and their authors miss in CEL.
 *
 *   isString(x) isNumber(x) isBool(x) isTimestamp(x)   kinds; never an error
 *   toText(x)                       a string as it is, everything else as JSON
 *   toJson(x) fromJson(s)           JSON text
 *   values(x)                       the values of an object, the elements of a list
 *   merge(a, b)                     an object with the keys of both, those of b first
 *   setPath(x, path, v)             x with v at the path; objects on the way are made
 *   range(first, last, step)        numbers, both ends included
 *   list.chunk(n) list.slice(a, b)  parts; slice counts from the end below 0
 *   round(x)                        to the nearest whole number, halves away from zero
 *   base64Encode(s) base64Decode(s) hash(s, algorithm)
 *
 * All are pure, and pay for what they copy like the operators do.
 */
import { EvaluationError } from "@marcbachmann/cel-js";
import type { Environment, RegisteredFunctionHandler } from "@marcbachmann/cel-js";
import { createHash } from "node:crypto";
import { isPlainObject, setOwn, toJson } from "./json.ts";
import * as limits from "./limits.ts";
import { isTimestampText } from "./time.ts";
import type { Json } from "./types.ts";
import { spendWork } from "./work.ts";

type Add = (signature: string, handler: RegisteredFunctionHandler) => void;

/** Register the functions above. */
export function registerFunctions(env: Environment): void {
  const add: Add = (signature, handler) => {
    env.registerFunction(signature, handler, { async: false });
  };
  registerKinds(add);
  registerTexts(add);
  registerObjects(add);
  registerLists(add);
}

function wrong(message: string): EvaluationError {
  return new EvaluationError({ code: "no_such_overload", message });
}

function payForText(text: string): string {
  spendWork(Math.floor(text.length / limits.CHARACTERS_PER_UNIT));
  return text;
}

function payForElements(count: number): void {
  spendWork(Math.ceil(count / limits.ELEMENTS_PER_UNIT));
}

function registerKinds(add: Add): void {
  const isNumber = (value: unknown): boolean => {
    if (typeof value === "number" || typeof value === "bigint") return true;
    return typeof value === "object" && typeof value?.valueOf() === "bigint";
  };
  add("isString(dyn): bool", (value: unknown) => typeof value === "string");
  add("isNumber(dyn): bool", isNumber);
  add("isBool(dyn): bool", (value: unknown) => typeof value === "boolean");
  add("isTimestamp(dyn): bool", (value: unknown) => {
    if (value instanceof Date) return true;
    return typeof value === "string" && isTimestampText(value);
  });
  add("round(dyn): double", (value: unknown) => {
    if (!isNumber(value)) throw wrong("round() needs a number");
    const number = Number(value);
    return Math.sign(number) * Math.round(Math.abs(number));
  });
}

const ALGORITHMS: Readonly<Record<string, string>> = {
  MD5: "md5",
  "SHA-1": "sha1",
  "SHA-256": "sha256",
  "SHA-384": "sha384",
  "SHA-512": "sha512",
};

/** The names that `hash` knows. */
export const HASH_ALGORITHMS: readonly string[] = Object.keys(ALGORITHMS);

function registerTexts(add: Add): void {
  const asJson = (value: unknown): string =>
    payForText(JSON.stringify(toJson(value, { left: limits.RESULT_SIZE_MAX })));
  add("toJson(dyn): string", asJson);
  add("toText(dyn): string", (value: unknown) =>
    typeof value === "string" ? value : asJson(value),
  );
  add("fromJson(string): dyn", (text: string) => {
    try {
      return JSON.parse(payForText(text)) as Json;
    } catch {
      throw wrong("fromJson() needs a JSON text");
    }
  });
  add("base64Encode(string): string", (text: string) =>
    payForText(Buffer.from(text, "utf8").toString("base64")),
  );
  add("base64Decode(string): string", (text: string) => {
    const bytes = Buffer.from(payForText(text), "base64");
    const isRead = bytes.toString("base64").replace(/=+$/, "") === text.replace(/=+$/, "");
    if (!isRead) throw wrong("base64Decode() needs a text in base64");
    return bytes.toString("utf8");
  });
  add("hash(string, string): string", (text: string, algorithm: string) => {
    const name = Object.hasOwn(ALGORITHMS, algorithm) ? ALGORITHMS[algorithm] : undefined;
    if (name === undefined) throw wrong(`hash() knows ${HASH_ALGORITHMS.join(", ")}`);
    return createHash(name).update(payForText(text)).digest("hex");
  });
}

type Container = { [key: string]: Json } | Json[];

function registerObjects(add: Add): void {
  add("merge(dyn, dyn): dyn", (a: unknown, b: unknown) => {
    if (!isPlainObject(a) || !isPlainObject(b)) throw wrong("merge() needs two objects");
    const copy = copyOf(a as Container);
    for (const [key, value] of Object.entries(b)) setKey(copy, key, value);
    payForElements(Object.keys(b).length);
    return copy;
  });
  add("values(dyn): list", (value: unknown) => {
    if (Array.isArray(value)) return value as unknown[];
    if (!isPlainObject(value)) throw wrong("values() needs an object or a list");
    payForElements(Object.keys(value).length);
    return Object.values(value);
  });
  add("setPath(dyn, list, dyn): dyn", (value: unknown, path: readonly unknown[], part: unknown) =>
    setPath(value, path, part),
  );
}

function copyOf(value: Container): Container {
  payForElements(Array.isArray(value) ? value.length : Object.keys(value).length);
  if (Array.isArray(value)) return [...value];
  const copy: { [key: string]: Json } = {};
  for (const [key, item] of Object.entries(value)) setOwn(copy, key, item);
  return copy;
}

function setKey(target: Container, key: string | number, value: unknown): void {
  if (Array.isArray(target)) target[Number(key)] = value as Json;
  else setOwn(target, String(key), value as Json);
}

function setPath(value: unknown, path: readonly unknown[], part: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return part;
  if (typeof step === "string") {
    if (!isPlainObject(value)) throw wrong("setPath() goes through a value that is no object");
    const copy = copyOf(value as Container);
    const inner: unknown = Object.hasOwn(value, step) ? value[step] : {};
    setKey(copy, step, setPath(inner, rest, part));
    return copy;
  }
  const index = Number(step);
  const isThere = Array.isArray(value) && Number.isInteger(index) && index >= 0;
  if (!isThere || index >= value.length) throw wrong("setPath() needs an element that exists");
  const copy = copyOf(value as Json[]);
  setKey(copy, index, setPath(value[index], rest, part));
  return copy;
}

function registerLists(add: Add): void {
  const slice = (list: readonly unknown[], from: unknown, to: unknown): unknown[] => {
    const part = list.slice(whole(from, "slice"), whole(to, "slice"));
    payForElements(part.length);
    return part;
  };
  add("list.slice(dyn, dyn): list", slice);
  add("list.chunk(dyn): list", (list: readonly unknown[], size: unknown) => {
    const count = whole(size, "chunk");
    if (count < 1) throw wrong("chunk() needs a size from 1");
    payForElements(list.length);
    const parts = Math.ceil(list.length / count);
    return Array.from({ length: parts }, (_, i) => list.slice(i * count, (i + 1) * count));
  });
  add("range(dyn, dyn, dyn): list", (first: unknown, last: unknown, step: unknown) => {
    const [from, to, by] = [whole(first, "range"), whole(last, "range"), whole(step, "range")];
    if (by === 0) throw wrong("range() needs a step that is not 0");
    const count = Math.max(0, Math.floor((to - from) / by) + 1);
    if (count > limits.RANGE_MAX) throw wrong(`range() gives ${limits.RANGE_MAX} numbers at most`);
    payForElements(count);
    return Array.from({ length: count }, (_, i) => from + i * by);
  });
}

function whole(value: unknown, name: string): number {
  const number = typeof value === "number" || typeof value === "bigint" ? Number(value) : NaN;
  if (Number.isSafeInteger(number)) return number;
  throw wrong(`${name}() needs whole numbers`);
}
