/**
 * `settings.pause_after_errors`: a run whose attempts fail one after the other is paused.
 *
 * Counted in the journal, from the block's end back to the last node that completed or the last
 * resume, and no further than to the failures that are too many: so it needs no state, survives every
 * process, costs the same however long the run is, and steps pay nothing for it. It is done before
 * the block is committed, and again by who archives the block if this process dies in between. It is a
 * moment late; what the run did meanwhile is accepted as in any paused run.
 */
import { pauseRun, unlessForeign, type Transition } from "../sdk/internal.ts";
import { parseSegment, readBackwards, type Queryable } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { transitionsOf, type BlockFold, type RunFold } from "./block-fold.ts";
import type { StoredIr } from "./ir-store.ts";

const FAILURES: ReadonlySet<string> = new Set(["node.retrying", "node.failed"]);
const FRESH: ReadonlySet<string> = new Set(["node.completed", "run.resumed", "run.redriven"]);

/** A run of a block, and how many failed attempts in a row are too many. */
export interface Failing {
  run: Pick<RunFold, "runId" | "seqFrom" | "seqTo" | "text">;
  max: number;
}

/**
 * Failed attempts since the last success, resume or redrive, as far as to `max`, by run id. A service
 * that is away makes most runs of a block fail at once: the archive is asked about them together.
 */
export async function errorsInARow(
  db: Queryable,
  failing: readonly Failing[],
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const maxima = new Map(failing.map(({ run, max }) => [run.runId, max]));
  const isDecided = ({ r, e }: Transition): boolean => {
    const count = (counts.get(r) ?? 0) + (FAILURES.has(e) ? 1 : 0);
    counts.set(r, count);
    return FRESH.has(e) || count >= (maxima.get(r) ?? 0);
  };
  const before = new Map<string, number>();
  for (const { run } of failing) {
    const block = parseSegment(run.runId, transitionsOf(run)).reverse();
    if (!block.some(({ transition }) => isDecided(transition))) {
      before.set(run.runId, run.seqFrom);
    }
  }
  await readBackwards(db, before, isDecided);
  return counts;
}

/**
 * Pauses those runs of a block, not archived yet, that have failed too often; returns their ids. What
 * is decided of a run is noted in `decided`, and holds if the block is tried again: somebody may have
 * resumed the run meanwhile.
 */
export async function pauseAfterErrors(
  context: SupervisorContext,
  partition: number,
  fold: BlockFold,
  irs: ReadonlyMap<string, StoredIr>,
  decided: Set<string>,
): Promise<string[]> {
  const failing = [...fold.withErrors].flatMap((runId): Failing[] => {
    const max = irs.get(runId)?.ir.settings.pause_after_errors;
    const run = fold.runs.get(runId);
    const isOpen = run !== undefined && run.endedAtMs === null && !decided.has(runId);
    return max === undefined || !isOpen ? [] : [{ run, max }];
  });
  const counts = await errorsInARow(context.db, failing);
  const paused: string[] = [];
  for (const { run, max } of failing) {
    const { runId } = run;
    const count = counts.get(runId) ?? 0;
    if (count >= max) {
      const why = `${count} failed attempts in a row (settings.pause_after_errors: ${max})`;
      const note = { by: "gavotte", why };
      const asked = pauseRun(scriptsOf(context, partition), runId, "errors", note);
      // One in whose place something else stands is not paused: the archive goes on.
      const { kind } = await unlessForeign<{ kind: string }>(asked, { kind: "gone" });
      paused.push(...(kind === "paused" ? [runId] : []));
    }
    decided.add(runId);
  }
  if (paused.length > 0) {
    context.logger.warn({ partition, runs: paused }, "runs are paused: they fail again and again");
  }
  return paused;
}
