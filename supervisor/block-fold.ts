/**
 * What a block of journal records comes to: of each run what its row is to say, and of all together
 * what else is to be written. Nothing of it is derived twice: folding (fold-block.ts) fills it,
 * everybody else reads it.
 */
import type { RunError, RunStatus } from "../sdk/internal.ts";
import type { FallenAsleep, NewChild, RunRedriven, Segment } from "../sdk/postgres/index.ts";
import type { BlobUse } from "./blobs.ts";
import type { ApprovalFold } from "./fold-approvals.ts";
import type { AuditFold } from "./fold-audit.ts";
import type { RawRecord } from "./records.ts";

/** What a block says about one run. */
export interface RunFold {
  runId: string;
  /** Status after the block, null if it did not change. */
  status: RunStatus | null;
  irHash: string | null;
  startedAtMs: number | null;
  endedAtMs: number | null;
  /** JSON text; null: none was given. */
  output: string | null;
  /** Text of the last plain success. */
  done: string | null;
  error: RunError | null;
  /** Null: it has none any more; undefined: the block does not say. */
  businessStatus: string | null | undefined;
  /** Something ended, or began, in a round of a loop. */
  inRounds: boolean;
  /** Nodes that failed unhandled in this block. */
  failed: FailedNode[];
  /** Set where the block starts it and another run did so. */
  child: NewChild | null;
  seqFrom: number;
  seqTo: number;
  tFrom: number;
  tTo: number;
  /** The text of its row, without its end: for each transition its place, and itself. */
  text: string;
}

/** A redrive; `undone` are the indexes of nodes. */
export type RedrivenFold = Omit<RunRedriven, "nodes"> & { undone: readonly number[] };

export interface FailedNode {
  node: number;
  scope: string;
}

export interface DeadToken extends FailedNode {
  runId: string;
  /** Of its element, in a map; else "". */
  home: string;
  position: string;
  attempts: number | null;
  error: RunError;
  atMs: number;
}

export interface BlockFold {
  runs: Map<string, RunFold>;
  /** Those that have ended. */
  ended: RunFold[];
  /** Children that were started. */
  children: NewChild[];
  asleep: FallenAsleep[];
  redriven: RedrivenFold[];
  /** Runs of which something ended, went on or was paused that may concern their children. */
  leaveChildren: Set<string>;
  /** Runs of which an attempt failed. */
  withErrors: Set<string>;
  dead: DeadToken[];
  approvals: ApprovalFold;
  audit: AuditFold[];
  /** Large outputs that the block refers to. */
  blobs: BlobUse[];
  /** Runs that a script could write only in part, or of which something cannot be read. */
  suspects: string[];
  /** What cannot be read: each is in the journal of its run as a text. */
  apart: { runId: string; position: string }[];
  /** When the next of the timers that the block armed is due. */
  dueMs: number | null;
  transitions: number;
}

/** Of a block that says nothing yet. */
export function emptyBlock(): BlockFold {
  return {
    runs: new Map(),
    ...{ ended: [], children: [], asleep: [], redriven: [], dead: [] },
    ...{ leaveChildren: new Set(), withErrors: new Set() },
    approvals: { opened: [], decisions: [], closed: [], asked: new Map() },
    ...{ audit: [], blobs: [], suspects: [], apart: [], dueMs: null, transitions: 0 },
  };
}

/** What a block says of a run that it names for the first time. */
export function addRun(block: BlockFold, runId: string, { seq, t }: RawRecord): RunFold {
  const run: RunFold = {
    runId,
    status: null,
    irHash: null,
    startedAtMs: null,
    endedAtMs: null,
    output: null,
    done: null,
    error: null,
    businessStatus: undefined,
    inRounds: false,
    failed: [],
    child: null,
    seqFrom: seq,
    seqTo: seq,
    tFrom: t,
    tTo: t,
    text: "",
  };
  block.runs.set(runId, run);
  return run;
}

/** The rows of a block, in an order in which concurrent writers cannot deadlock. */
export function segmentsOf(partition: number, block: BlockFold): Segment[] {
  return Array.from(block.runs.values(), (run) => ({
    partition,
    runId: run.runId,
    seqFrom: run.seqFrom,
    seqTo: run.seqTo,
    tFrom: run.tFrom,
    tTo: run.tTo,
    transitions: transitionsOf(run),
  }));
}

/** The transitions of a run in this block, as its row has them. */
export function transitionsOf({ text }: Pick<RunFold, "text">): string {
  return `${text}]]`;
}
