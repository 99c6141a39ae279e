/** Values of hashes as the audit compares them and shows them. */
import { isDeepStrictEqual } from "node:util";

/** As much of a value as fits in a report. */
const SHOWN_MAX = 120;

/** Equal, or equal JSON behind the same state: who wrote the JSON may have spaced it otherwise. */
export function sameValue(a: string | undefined, b: string | undefined): boolean {
  if (a === b || a === undefined || b === undefined) {
    return a === b;
  }
  const [headA, ...restA] = splitRest(a);
  const [headB, ...restB] = splitRest(b);
  return headA === headB && isDeepStrictEqual(restA.map(parsed), restB.map(parsed));
}

/**
 * A record's state, attempt and scope, then its value; of answers each part: separators of fields are
 * in no JSON text. Any other field is all value.
 */
function splitRest(text: string): string[] {
  const head = /^[a-z]\d+\|[^|]*\|/.exec(text)?.[0] ?? "";
  const rest = text.slice(head.length).split("\x1f");
  return [head, ...rest.flatMap((part) => part.split("\x1e"))];
}

/** What JSON text means; text that is none, as it is. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** A value as a report shows it. */
export function shown(value: string | undefined): string {
  return value === undefined
    ? "absent"
    : JSON.stringify(value.length > SHOWN_MAX ? `${value.slice(0, SHOWN_MAX)}…` : value);
}
