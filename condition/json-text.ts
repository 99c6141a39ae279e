/**
 * JSON from outside, without the numbers that nobody could pass on.
 *
 * JSON may spell a number of any size; 1e999 is read as Infinity, and written as `null`. So is NaN,
 * which programs have. A value would become another one without a word, and the node that misses it
 * is not the one that lost it: each door refuses such a value, and says where it is.
 */
import type { Json } from "./types.ts";

/** What a text needs to spell a number out of range: three digits of exponent, or very many digits. */
const MAY_OVERFLOW = /[eE]\+?\d{3}|(?<!\d)\d{200}/;

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

interface Open {
  value: unknown;
  /** Its key or index in `around`. */
  key: string;
  around: Open | undefined;
}

/** JSON pointer of the first number that is not finite; undefined: there is none. */
function placeNotFinite(root: unknown): string | undefined {
  // Not recursive: a text may be nested more deeply than calls can be.
  const open: Open[] = [{ value: root, key: "", around: undefined }];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const { value } = at;
    const isLost = typeof value === "number" ? !Number.isFinite(value) : isInvalidDate(value);
    if (isLost) return pointerTo(at);
    if (typeof value !== "object" || value === null) continue;
    const fields = Object.entries(value);
    for (let i = fields.length - 1; i >= 0; i--) {
      const [key, field] = fields[i] as [string, unknown];
      if (typeof field === "number" || typeof field === "object") {
        open.push({ value: field, key, around: at });
      }
    }
  }
  return undefined;
}

function isInvalidDate(value: unknown): boolean {
  return value instanceof Date && Number.isNaN(value.getTime());
}

function pointerTo(place: Open): string {
  let pointer = "";
  for (let at = place; at.around !== undefined; at = at.around) {
    pointer = `/${at.key.replaceAll("~", "~0").replaceAll("/", "~1")}${pointer}`;
  }
  return pointer;
}
