/**
 * Runs that stand still and that nothing will move: are they what their journal says?
 *
 * A Redis can come back with what it never had: one that loses the end of its log in the middle of a
 * script, and is restarted once more, plays half of the script (docs/recovery.md). Nobody is told,
 * and such a run would wait for ever for a token that is in nobody's hands. So a run that has not
 * moved for minutes, and whose state names nothing that it waits for, is audited; one that is off is
 * rebuilt from its journal. What waits for something is left alone: it may wait for a month.
 */
import { driftText, seenOf, suspectRun, type Drift } from "../sdk/internal.ts";
import type { RunRow } from "../sdk/postgres/index.ts";
import { findDrifts } from "./audit/audit-run.ts";
import type { Backlog } from "./audit/backlog.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import type { Reason } from "./explain.ts";

/** What the watch puts back itself, one entry at a time: the rest of the run need not stop for it. */
const PUT_BACK: ReadonlySet<Drift["kind"]> = new Set(["entry_missing", "entry_lost"]);

/** None of the reasons, or one of them, will not end by itself or by somebody outside of the run. */
export function isUnexplained(reasons: readonly Reason[]): boolean {
  return reasons.length === 0 || reasons.some(isDeadEnd);
}

function isDeadEnd(reason: Reason): boolean {
  switch (reason.kind) {
    case "damaged":
    case "lost_entry":
    case "not_in_redis":
      return true;
    case "join":
      return reason.missing.some(({ can }) => can.length === 0);
    case "timer":
    case "retry":
    case "rate_limit":
    case "circuit":
      return reason.dueMs === null;
    default:
      return false;
  }
}

/**
 * Freezes the run, so that who archives its partition rebuilds it, if it is not what its journal
 * says; false: it is, or it has moved on. `backlog` serves all the runs of its partition.
 */
export async function setRight(
  context: SupervisorContext,
  row: RunRow,
  backlog: Backlog,
): Promise<boolean> {
  const { redis, db, irs, logger } = context;
  const { id: runId, partition } = row;
  const scripts = scriptsOf(context, partition);
  // Before the look: a run that ends during it, or goes on under another epoch, is not the one judged.
  const seen = await seenOf(scripts, runId);
  const found = await findDrifts({ redis, db, irs }, partition, runId, { backlog });
  const wrong = found.filter(
    ({ kind, remedy, harmless }) =>
      remedy === "rebuild" && harmless !== true && !PUT_BACK.has(kind) && kind !== "child_missing",
  );
  if (wrong.length === 0) {
    return false;
  }
  const isFrozen = seen.status !== "suspect" && (await suspectRun(scripts, seen)) !== "moved";
  if (isFrozen) {
    const drifts = wrong.map(driftText);
    logger.error({ run: runId, partition, drifts }, "a run that stands still is rebuilt");
  }
  return isFrozen;
}
