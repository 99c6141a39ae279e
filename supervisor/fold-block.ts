/**
 * Folding a block of journal records by run: pure, so that what is written is decided before
 * anything is.
 *
 * One row per run that a block touches instead of one per transition: that is why the archive's
 * cost in Postgres grows with runs and blocks, not with nodes.
 */
import type { Transition } from "../sdk/internal.ts";
import { addRun, emptyBlock, type BlockFold, type RunFold } from "./block-fold.ts";
import { blobsIn } from "./blobs.ts";
import { foldApproval } from "./fold-approvals.ts";
import { foldAudit } from "./fold-audit.ts";
import { foldRun, type Placed } from "./fold-run.ts";
import { isWellFormed, setApart, splitTransitions } from "./records.ts";
import type { Member, RawRecord } from "./records.ts";

/** How a transition names its run. */
const [RUN_BEGIN, RUN_END] = ['{"r":"', '",'];

/** How a plain success says in which rounds of loops it was, and that it was in none. */
const [SCOPE, NO_ROUND] = ['"s":"', '"s":""'];

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

/** Pauses, ends of runs, rounds, losers and waits; what ends otherwise, a sweep finds. */
function mayLeaveChildren({ e, v, fail }: Transition): boolean {
  const isEnd = e === "run.completed" || e === "run.failed" || e === "run.cancelled";
  const isAnswer = e === "node.resumed" && typeof v === "object" && "kind" in v;
  const isLost = (e === "map.element" && v === "failed") || fail !== undefined;
  const isPause = e === "run.paused" || e === "run.resumed";
  const isOver = e === "loop.round" || e === "node.cancelled";
  return isEnd || isPause || isLost || isOver || (isAnswer && v.kind !== "child");
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
