/**
 * Reading the journal's hot end without taking it apart more than needed.
 *
 * Transitions are archived as the text in which a script wrote them: taken apart and written anew,
 * a payload's numbers could change (12345678901234567 does). So a record's array is cut into the
 * texts of its members, where scripts put a line break. Most members are plain successes: how they
 * begin says all that the archive needs, and their payload is never parsed.
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
  const ms = Number(t);
  const at = Number.isSafeInteger(ms) ? ms : 0;
  return { streamId, seq: Number(seq), nonce, prev, t: at, body: b ?? "[]" };
}

/** One transition: its text, and what it says; null where the text says enough: a plain success. */
export interface Member {
  text: string;
  runId: string;
  transition: Transition | null;
}

/** What a plain success says. */
export interface NodeDone {
  node: number;
  /** Its output as JSON text; null in a round or in an element of a map. */
  output: string | null;
}

/** Between two members. A payload has no line break outside of its strings, and none unescaped. */
const BORDER = ",\n";
/** As records were written before: one that has it is taken apart by nesting. */
const FORMER_BORDER = '},{"r":"';
/** How every member begins, then its run's id. */
const BEGIN = '{"r":"';
/** A success without anything that needs more than its text, up to its output, which stands last. */
const DONE = new RegExp(
  '^\\{"r":"[^"]+"(,"m":"[^"]*")?,"e":"node\\.completed","n":(\\d+),"s":"([^"]*)","a":\\d+' +
    '(?:,"ms":\\d+,"w":"[^"]*"|,"f":1),"x":"[LDX]*","o":(?!\\{"\\$gv:blob":)',
);

/** Cuts a record's body. What is not JSON becomes a `run.suspect` that holds it as a string. */
export function splitTransitions(body: string): Member[] {
  if (body.includes(FORMER_BORDER)) {
    return byNesting(body);
  }
  const members: Member[] = [];
  for (const text of body.slice(1, -1).split(BORDER)) {
    const transition = DONE.test(text) ? null : parsed(text);
    if (transition === undefined) {
      return byNesting(body);
    }
    members.push({ text, runId: transition?.r ?? runIdIn(text), transition });
  }
  return members;
}

/** What the text of a plain success says; for any other text null. */
export function readDone(text: string): NodeDone | null {
  const match = DONE.exec(text);
  if (match === null) {
    return null;
  }
  const [begin, home, node, scope] = match;
  const isTop = home === undefined && scope === "";
  return { node: Number(node), output: isTop ? text.slice(begin.length, -1) : null };
}

function runIdIn(text: string): string {
  return text.slice(BEGIN.length, text.indexOf('"', BEGIN.length));
}

function parsed(text: string): Transition | undefined {
  try {
    return text.startsWith(BEGIN) ? (JSON.parse(text) as Transition) : undefined;
  } catch {
    return undefined;
  }
}

function byNesting(body: string): Member[] {
  return scan(body).map((text) => {
    const transition = parsed(text);
    return transition === undefined ? setApart(text) : { text, runId: transition.r, transition };
  });
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
      texts.push(body.slice(from, i).trim());
      from = i + 1;
    }
  }
  texts.push(body.slice(from, -1).trim());
  return texts.filter((text) => text !== "");
}

function endOfString(body: string, quote: number): number {
  let i = quote + 1;
  while (i < body.length && body[i] !== '"') {
    i += body[i] === "\\" ? 2 : 1;
  }
  return i;
}

/** What cannot be read: the mark of its run as suspect, with the text that was to be read. */
export function setApart(raw: string): Member {
  const runId = /^\{"r":"([^"]+)"/.exec(raw)?.[1] ?? "";
  const transition: Transition = { r: runId, e: "run.suspect", raw };
  return { text: JSON.stringify(transition), runId, transition };
}

/** Members of transitions (sdk/journal.ts) of which the fold takes for granted what they are. */
const TEXTS = "r m e s x in rate circuit bs ir p up un ch ps by why was raw".split(" ");
const NUMBERS = "n a j k due ms f dl ep dep at d c i from win tol to".split(" ");

/** Whether a transition's text is JSON and its members are of the types that they are written with. */
export function isWellFormed({ text, transition }: Member): boolean {
  const members = (transition ?? parsed(text)) as { [name: string]: unknown } | undefined;
  const areAll = (names: readonly string[], type: string): boolean =>
    names.every((name) => members?.[name] === undefined || typeof members[name] === type);
  return members?.["e"] !== undefined && areAll(TEXTS, "string") && areAll(NUMBERS, "number");
}
