/**
 * Reading the journal's hot end without taking it apart more than needed.
 *
 * Transitions are archived as the text in which a script wrote them: taken apart and written anew,
 * a payload's numbers could change (12345678901234567 does). So a record's array is cut into the
 * texts of its members. Every member begins with `{"r":"`, so cutting at `},{"r":"` finds all
 * borders, but also look-alikes inside a payload; the count of members tells (a payload can only
 * add borders), and then a scan that knows strings and nesting cuts exactly.
 */
import type { Transition } from "../sdk/internal.ts";

export interface RawRecord {
  streamId: string;
  seq: number;
  nonce: string;
  prev: string;
  /** Redis time, ms. */
  t: number;
  /** JSON array of transitions. */
  body: string;
}

export interface TransitionText {
  text: string;
  transition: Transition;
}

/** One entry of `ev`; null if it is not a record of version 1. */
export function readRecord(streamId: string, fields: readonly string[]): RawRecord | null {
  const map: { [field: string]: string } = {};
  for (let i = 0; i + 1 < fields.length; i += 2) {
    map[fields[i] as string] = fields[i + 1] as string;
  }
  const { v, seq, nonce, prev, t, b } = map;
  if (v !== "1" || seq === undefined || nonce === undefined || prev === undefined) {
    return null;
  }
  return { streamId, seq: Number(seq), nonce, prev, t: Number(t), body: b ?? "[]" };
}

const BORDER = '},{"r":"';

/** Cuts a record's body. What is not JSON becomes a `run.suspect` that holds it as a string. */
export function splitTransitions(body: string): TransitionText[] {
  let parsed: Transition[];
  try {
    parsed = JSON.parse(body) as Transition[];
  } catch {
    return scan(body).map(salvage);
  }
  let texts = body.slice(1, -1).split(BORDER);
  if (texts.length === parsed.length) {
    const last = texts.length - 1;
    texts = texts.map((text, i) => (i > 0 ? '{"r":"' : "") + text + (i < last ? "}" : ""));
  } else {
    texts = scan(body);
  }
  return parsed.map((transition, i) => ({ text: texts[i] as string, transition }));
}

/** The texts of an array's members, by nesting. */
function scan(body: string): string[] {
  const texts: string[] = [];
  let depth = 0;
  let from = 1;
  for (let i = 0; i < body.length; i++) {
    const char = body[i];
    if (char === '"') {
      i = endOfString(body, i);
    } else if (char === "[" || char === "{") {
      depth++;
    } else if (char === "]" || char === "}") {
      depth--;
    } else if (char === "," && depth === 1) {
      texts.push(body.slice(from, i));
      from = i + 1;
    }
  }
  texts.push(body.slice(from, -1));
  return texts.filter((text) => text !== "");
}

function endOfString(body: string, quote: number): number {
  let i = quote + 1;
  while (i < body.length && body[i] !== '"') {
    i += body[i] === "\\" ? 2 : 1;
  }
  return i;
}

function salvage(text: string): TransitionText {
  try {
    return { text, transition: JSON.parse(text) as Transition };
  } catch {
    const r = /^\{"r":"([^"]+)"/.exec(text)?.[1] ?? "";
    const transition = { r, e: "run.suspect" as const, raw: text };
    return { text: JSON.stringify(transition), transition };
  }
}
