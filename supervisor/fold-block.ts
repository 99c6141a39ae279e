/**
 * Folding a block of journal records by run: pure, so that what is written is decided before
 * anything is.
 *
 * One row per run that a block touches instead of one per transition: that is why the archive's
 * cost in Postgres grows with runs and blocks, not with nodes.
 */
import type { RunError, RunStatus, Transition } from "../sdk/internal.ts";
import type { FallenAsleep, NewChild, RunRedriven, Segment } from "../sdk/postgres/index.ts";
import { foldAudit, type AuditFold } from "./fold-audit.ts";
import { blobsIn, type BlobUse } from "./blobs.ts";
import { foldApproval, type ApprovalFold } from "./fold-approvals.ts";
import { isWellFormed, setApart, splitTransitions } from "./records.ts";
import type { Member, RawRecord } from "./records.ts";

/** How a transition names its run. */
const [RUN_BEGIN, RUN_END] = ['{"r":"', '",'];

/** How a plain success says in which rounds of loops it was, and that it was in none. */
const [SCOPE, NO_ROUND] = ['"s":"', '"s":""'];

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

/**
 * Folds records that have been found to continue the cursor. `isSparing`: a transition that cannot be
 * folded is set apart, at the cost of its run alone; without, it throws.
 */
export function foldBlock(records: readonly RawRecord[], isSparing = false): BlockFold {
  const block = emptyBlock();
  for (const record of records) {
    const source = sourceOf(record);
    const members = splitTransitions(record.body);
    for (let index = 0; index < members.length; index++) {
      const member = members[index] as Member;
      const isFolded = !isSparing || canFold(source, index, member);
      foldMember(block, source, index, isFolded ? member : setApart(member.text));
    }
    block.transitions += members.length;
  }
  for (const run of block.runs.values()) {
    if (run.endedAtMs !== null) {
      block.ended.push(run);
    }
  }
  return block;
}

function emptyBlock(): BlockFold {
  return {
    runs: new Map(),
    ...{ ended: [], children: [], asleep: [], redriven: [], dead: [] },
    ...{ leaveChildren: new Set(), withErrors: new Set() },
    approvals: { opened: [], decisions: [], closed: [], asked: new Map() },
    ...{ audit: [], blobs: [], suspects: [], apart: [], dueMs: null, transitions: 0 },
  };
}

/** Tried in a block of its own, in which it leaves nothing half done. */
function canFold(source: Source, index: number, member: Member): boolean {
  try {
    foldMember(emptyBlock(), source, index, member);
    return isWellFormed(member);
  } catch {
    return false;
  }
}

/** A record, and the texts that lead to its transitions in a row. */
interface Source {
  record: RawRecord;
  first: string;
  next: string;
  time: string;
}

function sourceOf(record: RawRecord): Source {
  const { seq, t } = record;
  return { record, first: `[["${seq}.`, next: `],["${seq}.`, time: `",${t},{` };
}

/** Most members are plain successes: they cost their part of the row and nothing else. */
function foldMember(block: BlockFold, source: Source, index: number, member: Member): void {
  const { text, runId, transition } = member;
  const { record } = source;
  const run = block.runs.get(runId) ?? addRun(block, runId, record);
  run.seqTo = record.seq;
  run.tTo = record.t;
  const lead = run.text === "" ? source.first : source.next;
  run.text += lead + index + source.time + withoutRun(text, runId);
  if (transition === null) {
    run.done = text;
    run.inRounds ||= !text.startsWith(NO_ROUND, text.indexOf(SCOPE));
  } else {
    run.inRounds ||= (transition.s ?? "") !== "";
    foldTransition(block, run, { transition, text, record, position: `${record.seq}.${index}` });
  }
}

interface Placed {
  transition: Transition;
  text: string;
  record: RawRecord;
  position: string;
}

function foldTransition(block: BlockFold, run: RunFold, placed: Placed): void {
  const { transition, position, record } = placed;
  if (mayLeaveChildren(transition)) {
    block.leaveChildren.add(run.runId);
  }
  if (transition.e === "node.retrying" || transition.e === "node.failed") {
    block.withErrors.add(run.runId);
  }
  if (transition.due !== undefined) {
    block.dueMs = Math.min(block.dueMs ?? transition.due, transition.due);
  }
  run.businessStatus = transition.bs ?? run.businessStatus;
  block.blobs.push(...blobsIn(transition));
  if (transition.e === "node.failed") {
    foldFailure(block, run, transition, position, record.t);
  } else if (transition.e.startsWith("run.")) {
    foldRun(block, run, placed);
  } else if (mayConcernApprovals(transition)) {
    foldApproval(block.approvals, transition, transition.m ?? "", position, record.t);
  }
  if (mayConcernAudit(transition)) {
    const entry = foldAudit(transition, position, record.t);
    block.audit.push(...(entry === null ? [] : [entry]));
  }
}

function mayConcernApprovals({ e, w, v }: Transition): boolean {
  return w !== undefined || v !== undefined || e === "node.cancelled";
}

function mayConcernAudit({ by, v, raw }: Transition): boolean {
  return by !== undefined || typeof v === "object" || raw !== undefined;
}

/** A transition's text behind its brace, without its run, which its row names. */
function withoutRun(text: string, runId: string): string {
  const end = RUN_BEGIN.length + runId.length;
  const isNamed = text.startsWith(RUN_END, end) && text.startsWith(runId, RUN_BEGIN.length);
  return text.slice(isNamed ? end + RUN_END.length : 1);
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

function addRun(block: BlockFold, runId: string, { seq, t }: RawRecord): RunFold {
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

function foldRun(block: BlockFold, run: RunFold, placed: Placed): void {
  const { transition: tr, text, record, position } = placed;
  const { t, seq } = record;
  switch (tr.e) {
    case "run.started":
      run.status = "RUNNING";
      run.startedAtMs = t;
      run.irHash = tr.ir ?? null;
      if (tr.dep !== undefined) {
        run.child = childOf(tr, text, t);
        block.children.push(run.child);
      }
      break;
    case "run.finishing":
      run.status = "FINISHING";
      break;
    case "run.redriven":
      run.status = "RUNNING";
      run.businessStatus = tr.rd?.bs === undefined ? run.businessStatus : tr.rd.bs;
      block.redriven.push(redrivenOf(tr, t));
      break;
    case "run.paused":
    case "run.resumed":
      run.status = tr.ps === "" ? "RUNNING" : "PAUSED";
      break;
    case "run.completed":
      run.status = "COMPLETED";
      run.endedAtMs = t;
      // The member stands last, and nothing before it can hold a quote of a user's.
      run.output = tr.o === undefined ? null : text.slice(text.indexOf('"o":') + 4, -1);
      break;
    case "run.failed":
    case "run.cancelled":
      run.status = tr.e === "run.failed" ? "FAILED" : "CANCELLED";
      run.endedAtMs = t;
      run.error = tr.err?.error ?? null;
      break;
    case "run.hibernated":
      block.asleep.push({
        ...{ runId: tr.r, sinceMs: t, seq },
        ...{ wakesAtMs: tr.due ?? null, causes: tr.ps ?? "" },
      });
      break;
    case "run.suspect":
      block.suspects.push(tr.r);
      if (tr.raw !== undefined) {
        block.apart.push({ runId: tr.r, position });
      }
      break;
    default: // of nodes: they change no row
  }
}

/** Pauses, ends of runs, rounds, losers and waits; what ends otherwise, a sweep finds. */
function mayLeaveChildren({ e, v, fail }: Transition): boolean {
  const isEnd = e === "run.completed" || e === "run.failed" || e === "run.cancelled";
  const isAnswer = e === "node.resumed" && typeof v === "object" && "kind" in v;
  const isLost = (e === "map.element" && v === "failed") || fail !== undefined;
  const isPause = e === "run.paused" || e === "run.resumed";
  const isOver = e === "loop.round" || e === "node.cancelled";
  return isEnd || isPause || isLost || isOver || (isAnswer && v.kind !== "child");
}

function childOf(tr: Transition, text: string, t: number): NewChild {
  const [namespace = "", priority = "normal"] = (tr.p ?? "").split("|");
  const { up } = tr;
  const parent = up?.slice(0, up.indexOf("|")).split("!", 1)[0];
  return {
    id: tr.r,
    irHash: tr.ir ?? "",
    partition: 0,
    namespace,
    priority: priority as NewChild["priority"],
    // The member stands last, and nothing before it can hold a quote of a user's.
    input: text.slice(text.indexOf('"inp":') + '"inp":'.length, -1),
    depth: tr.dep ?? 0,
    parent:
      up === undefined || parent === undefined ? null : { runId: parent, node: tr.un ?? "", up },
    startedAtMs: t,
  };
}

function redrivenOf(tr: Transition, t: number): RedrivenFold {
  const { rd, ep = 0, at = 0 } = tr;
  const input = rd?.in === undefined ? null : JSON.stringify(rd.in);
  const undone = (rd?.u ?? []).map((key) => Number.parseInt(key, 10));
  return { id: tr.r, epoch: ep, attempt: at, input, atMs: t, undone };
}

function foldFailure(
  block: BlockFold,
  run: RunFold,
  tr: Transition,
  position: string,
  atMs: number,
): void {
  const place = { node: tr.n ?? -1, scope: tr.s ?? "" };
  // In a map it is the element's failure, and its map's to answer for.
  if (isUnhandled(tr) && tr.m === undefined) {
    run.failed.push(place);
  }
  if (tr.dl === 1) {
    const error = tr.err?.error ?? { code: "HANDLER_ERROR", message: "no error was given" };
    const attempts = tr.a ?? null;
    const home = tr.m ?? "";
    block.dead.push({ ...place, home, runId: tr.r, position, attempts, error, atMs });
  }
}

/** Whether a node's failure is nobody's: no out-edge took it. */
export function isUnhandled(transition: Transition): boolean {
  return transition.e === "node.failed" && !(transition.x ?? "").includes("L");
}
