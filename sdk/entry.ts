/**
 * Ready tokens as they stand in a queue: one stream entry, one field `t`, its parts separated by
 * 0x1F (scripts/include/token.lua writes them). One packed field instead of a field per part
 * nearly doubled the rate of the bare protocol.
 */

import { parseUnit } from "./unit.ts";

/** What a ready token is for. */
export type EntryKind =
  /** Execute the node. */
  | "run"
  /** Go on after a wait: the delay is over. */
  | "resumed"
  /** Go on after a wait with what ended it: `answer`. */
  | "answered"
  /** Spread the dead region of a join that was skipped (payload D or X). */
  | "skip"
  /** Evaluate the output of the run or the element: no worker did so in time. */
  | "finish"
  /** The elements of a map have ended: collect their results, or fail with the payload. */
  | "gather";

export interface ReadyToken {
  queueKey: string;
  entryId: string;
  /** The run, whatever map the token is in. */
  runId: string;
  /** What the token belongs to: the run, or an element of a map (sdk/unit.ts). */
  unit: string;
  /** Of the unit: the run's, or what `elementEpoch` makes of it. */
  epoch: string;
  node: number;
  scope: string;
  attempt: number;
  irHash: string;
  kind: EntryKind;
  /** For a join: one character per in-edge, `L` where the arrival was live. Else "". */
  arrivals: string;
  /** The input as JSON text when it travels with the token, else null: fetch it. */
  payload: string | null;
  /** For `skip`: the value to send on. */
  skipValue: "D" | "X" | null;
  /** For `answered`: JSON text of a WaitAnswer. */
  answer: string | null;
}

const KINDS: { [code: string]: EntryKind } = {
  "": "run",
  r: "resumed",
  v: "answered",
  k: "skip",
  z: "finish",
  g: "gather",
};

/** Reads one entry; null if it is not one of ours (it belongs in quarantine). */
export function parseEntry(queueKey: string, entryId: string, fields: string[]): ReadyToken | null {
  const packed = fields[0] === "t" ? fields[1] : undefined;
  if (packed === undefined) {
    return null;
  }
  const parts = splitFirst(packed, 8);
  const kind = KINDS[parts[6] ?? "?"];
  const node = Number(parts[2]);
  const attempt = Number(parts[4]);
  if (parts.length !== 9 || kind === undefined || !Number.isInteger(node + attempt)) {
    return null;
  }
  const rest = parts[8] as string;
  return {
    queueKey,
    entryId,
    runId: parseUnit(parts[0] as string).runId,
    unit: parts[0] as string,
    epoch: parts[1] as string,
    node,
    scope: parts[3] as string,
    attempt,
    irHash: parts[5] as string,
    kind,
    arrivals: parts[7] as string,
    payload: kind !== "skip" && rest.startsWith("=") ? rest.slice(1) : null,
    skipValue: kind === "skip" ? (rest === "X" ? "X" : "D") : null,
    answer: kind === "answered" ? rest : null,
  };
}

/** Splits at the first `count` separators; the rest, which may hold anything, stays whole. */
function splitFirst(text: string, count: number): string[] {
  const parts: string[] = [];
  let from = 0;
  for (let i = 0; i < count; i++) {
    const at = text.indexOf("\x1f", from);
    if (at < 0) {
      break;
    }
    parts.push(text.slice(from, at));
    from = at + 1;
  }
  parts.push(text.slice(from));
  return parts;
}

/**
 * Whether nothing of its node is executed for an entry: it stands in the queue that every worker reads
 * (`commonQueueKey`), because nobody need serve the node's own. `answer`: what it is answered with.
 */
export function executesNothing(kind: EntryKind, answer?: { kind: string }): boolean {
  return ["skip", "gather", "finish"].includes(kind) || answer?.kind === "manual";
}

/** A token's record in the run hash, field `n<node>` (scripts/include/token.lua). */
export interface TokenRecord {
  state: "a" | "r" | "w" | "k" | "m" | "g" | "c" | "f" | "s" | "x";
  attempt: number;
  scope: string;
  /** Output (c), error value (f), arrivals (a, r, w, m, g), value to send (k). */
  rest: string;
}

/** Parses a token record; null for a field that is absent. */
export function parseRecord(record: string | null | undefined): TokenRecord | null {
  if (record === null || record === undefined) {
    return null;
  }
  const bar = record.indexOf("|");
  const bar2 = record.indexOf("|", bar + 1);
  return {
    state: record[0] as TokenRecord["state"],
    attempt: Number(record.slice(1, bar)),
    scope: record.slice(bar + 1, bar2),
    rest: record.slice(bar2 + 1),
  };
}

/** What packEntry writes; `payload` as it stands in the entry. */
export interface EntryParts {
  /** The token's unit. */
  runId: string;
  epoch: number | string;
  node: number;
  scope: string;
  attempt: number;
  irHash: string;
  kind: EntryKind;
  arrivals: string;
  payload: string;
}

const KIND_CODES: { [kind in EntryKind]: string } = {
  run: "",
  resumed: "r",
  answered: "v",
  skip: "k",
  finish: "z",
  gather: "g",
};

/** The packed field of an entry, as scripts/include/token.lua writes it. */
export function packEntry(e: EntryParts): string {
  const { runId, epoch, node, scope, attempt, irHash, arrivals, payload } = e;
  const parts = [runId, epoch, node, scope, attempt, irHash, KIND_CODES[e.kind], arrivals, payload];
  return parts.join("\x1f");
}

/** A token as the packed field of an entry that stands for it: the reverse of parseEntry. */
export function repack(token: ReadyToken): string {
  const { unit, epoch, node, scope, attempt, irHash, kind, arrivals, payload } = token;
  const text = token.skipValue ?? token.answer ?? (payload === null ? "" : `=${payload}`);
  const parts = [unit, epoch, node, scope, attempt, irHash, KIND_CODES[kind], arrivals, text];
  return parts.join("\x1f");
}

/** The member of a timer, as scripts/include/token.lua writes it. */
export function timerMember(t: {
  kind: "emit" | "resume" | "expire" | "late" | "dead" | "run" | "finish" | "map";
  runId: string;
  epoch: number | string;
  node?: number;
  scope?: string;
  attempt?: number;
  queue?: string;
}): string {
  const { kind, runId, epoch, node = "", scope = "", attempt = "", queue = "" } = t;
  return [kind, runId, epoch, node, scope, attempt, queue].join("|");
}
