/**
 * Journal records: one entry of a partition's `ev` stream per script call, each a JSON array of the
 * transitions that the call made, chained to its predecessor by sequence number and nonce.
 *
 * Implied facts are not written: an in-edge value follows from `x` of its source, the activation of
 * a node with one in-edge from a live value, a skipped region from its frontier. sdk/fold.ts knows.
 */
import type { Json } from "../compiler/ir.ts";
import type { NodeStatus, RunError } from "./status.ts";
import type { Decision, ManualAnswer, WaitAnswer, WaitInfo } from "./waits.ts";

export type EventName =
  | "run.started"
  | "run.finishing"
  | "run.completed"
  | "run.failed"
  | "run.cancelled"
  | "run.suspect"
  | "run.hibernated"
  | "run.paused"
  | "run.resumed"
  | "run.redriven"
  | "counter.adjusted"
  | "node.activated"
  | "node.resumed"
  | "node.completed"
  | "node.failed"
  | "node.retrying"
  | "node.parked"
  | "node.skipped"
  | "node.cancelled"
  | "child.started"
  | "signal.kept"
  | "approval.decided"
  | "join.decided"
  | "loop.round"
  | "map.expanded"
  | "map.started"
  | "map.element"
  | "map.gather"
  | "element.finishing";

/** One accepted transition. Members are present as the event needs them. */
export interface Transition {
  /** Run id. */
  r: string;
  /** Of a token in a map: the home of its element (sdk/unit.ts). */
  m?: string;
  e: EventName;
  /** Node index and scope. */
  n?: number;
  s?: string;
  /** Attempt. */
  a?: number;
  /** Values of the node's out-edges in the order of `IrNode.out`: L, D, X. "" before a next round. */
  x?: string;
  /** Output of a node or of the run. */
  o?: Json;
  /** Error value. */
  err?: { error: RunError };
  /**
   * join.decided: fired, skipped, failed (skipped, sends failed), cancelled (its tokens are consumed, as
   * another join has fired without them). node.skipped: D or X. node.resumed:
   * what ended the wait, absent when a delay is over. signal.kept, approval.decided: what came.
   * map.element: done or failed.
   */
  v?: "fired" | "skipped" | "failed" | "cancelled" | "D" | "X" | "done" | WaitAnswer | Decision;
  /** join.decided: arrivals, one character per in-edge. */
  in?: string;
  /** The join that has fired without what is cancelled: of a loop, which ends as a whole, its latch. */
  j?: number;
  /** join.decided: 1 when a token of its own spreads the skip (node.skipped follows). */
  k?: number;
  /**
   * When a retry, a parked token or a round is due, Redis time in ms. run.hibernated: when the
   * earliest of the run's timers is, absent without any.
   */
  due?: number;
  /** How long the handler ran, ms. */
  ms?: number;
  /** Worker that executed it. node.parked: what it waits for, absent for a delay. */
  w?: string | WaitInfo;
  /** node.parked: the key of the rate limit under which it waits for its start. */
  rate?: string;
  /** node.parked: the circuit that is open. */
  circuit?: string;
  /** node.completed: the run's business status from now on. */
  bs?: string;
  /** Evaluated in the step of the node before. */
  f?: number;
  /** 1: the token is in the dead letters. */
  dl?: number;
  /** run.started: IR hash and run epoch. run.redriven: the new epoch. */
  ir?: string;
  ep?: number;
  /** run.started in the middle of the workflow: the fields that it begins with (start-state.ts). */
  st?: { [field: string]: string };
  /**
   * run.started of a child: namespace|priority, how many runs stand above it, its input, and, unless
   * nobody waits for it, the token that does (scripts/include/parent.lua) and its node's id.
   */
  p?: string;
  dep?: number;
  inp?: Json;
  up?: string;
  un?: string;
  /** child.started: id of a child that nobody waits for. */
  ch?: string;
  /** run.paused, run.resumed: causes in force after it (PAUSE_CAUSES), e.g. "rw"; "": it goes on. */
  ps?: string;
  /** run.suspect: the text that stood here, and cannot be read. */
  raw?: string;
  /** Who did it and why, where somebody did. */
  by?: string;
  why?: string;
  /** Of what was done by hand: the token's record before, state and attempt. */
  was?: string;
  /** run.redriven: the run's attempt from now on, and what has changed. */
  at?: number;
  rd?: Redriven;
  /** counter.adjusted: delta and counter. map.expanded with the first items: number of elements. */
  d?: number;
  c?: number;
  /** map.expanded: items from this index on; with the first ones window, tolerated failures, names. */
  from?: number;
  items?: Json[];
  win?: number;
  tol?: number;
  vars?: Json;
  /** map.started: elements before this index have begun. */
  to?: number;
  /** map.element: its index. */
  i?: number;
  /** map.gather: why the map fails; absent when all its elements have ended. */
  fail?: MapFailure;
  /** node.completed of a map: elements that failed and were tolerated, or the reference to them. */
  errs?: Json;
}

/** `value` is the error value of the element that was one too many, or of the map's timeout. */
export interface MapFailure {
  index?: number;
  failed?: number;
  value: { error: RunError };
}

export interface MapError {
  index: number;
  error: RunError;
}

/** What is to be seen of an activation that has ended. */
export interface NodeResult {
  output?: Json;
  error?: RunError;
  /** Of a map: its elements. */
  elements?: { total: number; done: number; failed: number };
  /** Of a map that tolerates failures: those that it did. */
  errors?: Json;
}

/** What a redrive has changed: all that folding needs to go on. */
export interface Redriven {
  /** Tokens whose ends are undone, `<node>|<scope>`. */
  u: string[];
  /** Fields of the run hash that have another value, or whose token begins anew; null: gone. */
  f: { [field: string]: string | null };
  /** When tokens among these that wait for a time go on, Redis time, ms; by node. */
  due?: { [node: number]: number };
  /** Runs that open steps have started without waiting for them: fields w<node>, by node. */
  ch?: { [node: number]: string };
  /** Statuses of nodes that are others now, by index. */
  nv: { [node: number]: NodeStatus };
  /** What holds again of earlier rounds of loops, because the end of a later one is undone. */
  rv?: { [node: number]: NodeResult };
  /** The business status that holds again, null for none; absent: it is what it was. */
  bs?: string | null;
  /** Outputs given by hand, by node. */
  set?: { [node: number]: ManualAnswer };
  /** Fields of the signals hash, if they are others: what an undone step has used is kept again. */
  sg?: { readonly [field: string]: string };
  /** The run's new input. */
  in?: Json;
}

export interface JournalRecord {
  streamId: string;
  seq: number;
  nonce: string;
  prev: string;
  /** Redis time, ms. */
  t: number;
  transitions: Transition[];
}

/** A record with its transitions as text. */
export interface JournalText extends Omit<JournalRecord, "transitions"> {
  body: string;
}

/** Parses one entry of `ev`. Throws if it is not a journal record. */
export function parseJournalRecord(streamId: string, fields: readonly string[]): JournalRecord {
  const { body, ...record } = readJournalText(streamId, fields);
  return { ...record, transitions: JSON.parse(body) as Transition[] };
}

/** As parseJournalRecord, without the work of taking its transitions apart. */
export function readJournalText(streamId: string, fields: readonly string[]): JournalText {
  const map: { [field: string]: string } = {};
  for (let i = 0; i + 1 < fields.length; i += 2) {
    map[fields[i] as string] = fields[i + 1] as string;
  }
  const { v, seq, nonce, prev, t, b } = map;
  if (
    v !== "1" ||
    seq === undefined ||
    nonce === undefined ||
    prev === undefined ||
    b === undefined
  ) {
    throw new Error(`journal entry ${streamId} is not a record of version 1`);
  }
  return { streamId, seq: Number(seq), nonce, prev, t: Number(t), body: b };
}

/** How scripts begin a transition; its run's id follows, which has nothing that JSON escapes. */
const OF_RUN = '{"r":"';

/**
 * Whether some transition in a record's text may be of one of these runs: a payload may look like one.
 * Most records are of other runs than the few that somebody asks for.
 */
export function mayConcern(body: string, runs: { has(runId: string): boolean }): boolean {
  for (let at = body.indexOf(OF_RUN); at >= 0;) {
    const from = at + OF_RUN.length;
    const to = body.indexOf('"', from);
    if (runs.has(body.slice(from, to))) {
      return true;
    }
    at = to < 0 ? -1 : body.indexOf(OF_RUN, to);
  }
  return false;
}

/** Whether something in a run's journal cannot be read: what state it is in then nobody can say. */
export function hasGap(journal: readonly { transition: Transition }[]): boolean {
  return journal.some(({ transition }) => transition.raw !== undefined);
}

/** Position of a transition, `<seq>.<index>`: rises within a partition, so within a run. */
export function positionOf(seq: number, index: number): string {
  return `${seq}.${index}`;
}

/** Compares positions: negative, 0, positive. */
export function comparePositions(a: string, b: string): number {
  const [seqA = 0, indexA = 0] = a.split(".").map(Number);
  const [seqB = 0, indexB = 0] = b.split(".").map(Number);
  return seqA - seqB || indexA - indexB;
}
