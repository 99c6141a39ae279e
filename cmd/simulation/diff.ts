/** What differs between two JSON values, leaf by leaf. */
import type { Json } from "../../compiler/index.ts";

export interface Difference {
  /** `output.rows[2].sum`. */
  path: string;
  /** Undefined: it should not be there. */
  expected?: Json;
  /** Undefined: it is not there. */
  actual?: Json;
}

/** `actual` against `expected`. `isPart`: members that are not expected do no harm. */
export function differences(
  path: string,
  expected: Json | undefined,
  actual: Json | undefined,
  isPart = false,
): Difference[] {
  if (Array.isArray(expected) && Array.isArray(actual)) {
    const length = Math.max(expected.length, actual.length);
    return Array.from({ length }, (_, i) =>
      differences(`${path}[${i}]`, expected[i], actual[i], isPart),
    ).flat();
  }
  if (isObject(expected) && isObject(actual)) {
    const keys = new Set([...Object.keys(expected), ...(isPart ? [] : Object.keys(actual))]);
    return [...keys].flatMap((key) =>
      differences(memberOf(path, key), own(expected, key), own(actual, key), isPart),
    );
  }
  if (isSame(expected, actual)) return [];
  return [
    {
      path,
      ...(expected === undefined ? {} : { expected }),
      ...(actual === undefined ? {} : { actual }),
    },
  ];
}

/** One line for people. */
export function differenceText({ path, expected, actual }: Difference): string {
  if (expected === undefined) return `${path}: not expected, found ${shown(actual)}`;
  if (actual === undefined) return `${path}: expected ${shown(expected)}, found nothing`;
  return `${path}: expected ${shown(expected)}, found ${shown(actual)}`;
}

const SHOWN_MAX = 200;

function shown(value: Json | undefined): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}

/** A list against an object, or a leaf against anything, differs as a whole. */
function isSame(a: Json | undefined, b: Json | undefined): boolean {
  if (Object.is(a, b) || (a === 0 && b === 0)) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === 0 && b.length === 0;
  return false;
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function own(value: { [key: string]: Json }, key: string): Json | undefined {
  return Object.hasOwn(value, key) ? value[key] : undefined;
}

function memberOf(path: string, key: string): string {
  return /^[A-Za-z_][\w-]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}
