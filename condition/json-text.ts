/**
 * JSON from outside, without the numbers that nobody could pass on.
 *
 * JSON may spell a number of any size; 1e999 is read as Infinity, and written as `null`. So is NaN,
 * which programs have. A value would become another one without a word, and the node that misses it
 * is not the one that lost it: each door refuses such a value, and says where it is.
 */
import type { Json } from "./types.ts";

/**
 * What a text needs to spell a number out of range: three digits of exponent, or very many digits, where
 * a number can stand. Ids, which are full of "e123", stand in quotes.
 */
const MAY_OVERFLOW = /(?:^|[[:,\s])-?(?:\d[\d.]*[eE]\+?\d{3}|\d{200})/;

const PLACE_CHARS_MAX = 200;

/** The value of a JSON text. Throws SyntaxError; RangeError for a number that is out of range. */
export function parseJson(text: string): Json {
  const value = JSON.parse(text) as Json;
  if (MAY_OVERFLOW.test(text)) {
    assertFinite(value, "a number beyond 1.8e308", "no number can be so large; give it as text");
  }
  return value;
}

/** Throws RangeError if a value that is to be written as `text` has a number that JSON does not have. */
export function assertWritten(value: unknown, text: string | undefined): void {
  // What JSON cannot say is written as null.
  if (text?.includes("null") === true) {
    assertFinite(value, "NaN, Infinity or an invalid date", "JSON has none; give null or a text");
  }
}

function assertFinite(value: unknown, what: string, remedy: string): void {
  const place = placeNotFinite(value);
  if (place !== undefined) {
    const at = place.length > PLACE_CHARS_MAX ? `${place.slice(0, PLACE_CHARS_MAX)}…` : place;
    throw new RangeError(`${what}${at === "" ? "" : ` at ${at}`}: ${remedy}`);
  }
}

/** A list or an object on the way to where the walk is. */
interface Open {
  fields: Record<string, unknown> | readonly unknown[];
  /** Of an object. */
  keys: readonly string[] | null;
  /** Its field in which the walk is. */
  at: number;
}

/**
 * JSON pointer of the first number that is not finite; undefined: there is none. Kept is the way to
 * where it looks, so a list takes no memory, however many numbers it has.
 */
function placeNotFinite(root: unknown): string | undefined {
  if (isLost(root)) return "";
  // Not recursive: a text may be nested more deeply than calls can be.
  const way: Open[] = [];
  for (let inner: Open | "lost" | null = opened(root); ; inner = nextIn(way)) {
    if (inner === "lost") return pointerTo(way);
    if (inner !== null) way.push(inner);
    else if (way.length === 0) return undefined;
    else way.pop();
  }
}

/** Goes on in the innermost: to the next in it that has fields, or a number lost; null: no more. */
function nextIn(way: readonly Open[]): Open | "lost" | null {
  const open = way.at(-1);
  if (open === undefined) return null;
  const { fields, keys } = open;
  const { length } = keys ?? (fields as readonly unknown[]);
  while (++open.at < length) {
    const field: unknown = fields[(keys?.[open.at] ?? open.at) as never];
    if (isLost(field)) return "lost";
    const inner = opened(field);
    if (inner !== null) return inner;
  }
  return null;
}

function opened(value: unknown): Open | null {
  if (typeof value !== "object" || value === null) return null;
  // It writes something else than its fields, which may lead back to itself.
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return null;
  const fields = value as Open["fields"];
  return { fields, keys: Array.isArray(value) ? null : Object.keys(value), at: -1 };
}

function isLost(value: unknown): boolean {
  if (typeof value === "number") return !Number.isFinite(value);
  return value instanceof Date && Number.isNaN(value.getTime());
}

function pointerTo(way: readonly Open[]): string {
  const steps = way.map(({ keys, at }) => keys?.[at] ?? String(at));
  return steps.map((s) => `/${s.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
