/**
 * `settings.pause_after_errors`: a run whose attempts fail one after the other is paused.
 *
 * Counted in the journal, from the block's end back to the last node that completed or the last
 * resume, and no further than to the failures that are too many: so it needs no state, survives every
 * process, costs the same however long the run is, and steps pay nothing for it. It is done before
 * the block is committed, and again by who archives the block if this process dies in between. It is a
 * moment late; what the run did meanwhile is accepted as in any paused run.
 */
import { pauseRun, type Transition } from "../sdk/internal.ts";
import { journalBackwards, parseSegment, type Queryable } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { transitionsOf, type BlockFold, type RunFold } from "./fold-block.ts";
import type { StoredIr } from "./ir-store.ts";

const FAILURES: ReadonlySet<string> = new Set(["node.retrying", "node.failed"]);
const FRESH: ReadonlySet<string> = new Set(["node.completed", "run.resumed", "run.redriven"]);

/** Failed attempts since the last success, resume or redrive, as far as to `max`. */
async function errorsInARow(db: Queryable, run: RunFold, max: number): Promise<number> {
  let count = 0;
  const isDecided = (transition: Transition): boolean => {
    count += FAILURES.has(transition.e) ? 1 : 0;
    return count >= max || FRESH.has(transition.e);
  };
  const block = parseSegment(run.runId, transitionsOf(run)).reverse();
  if (block.some(({ transition }) => isDecided(transition))) {
    return count;
  }
  for await (const { transition } of journalBackwards(db, run.runId, run.seqFrom)) {
    if (isDecided(transition)) {
      break;
    }
  }
  return count;
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
  const paused: string[] = [];
  for (const runId of fold.withErrors) {
    const max = irs.get(runId)?.ir.settings.pause_after_errors;
    const run = fold.runs.get(runId);
    if (max === undefined || run === undefined || run.endedAtMs !== null || decided.has(runId)) {
      continue;
    }
    const count = await errorsInARow(context.db, run, max);
    if (count >= max) {
      const why = `${count} failed attempts in a row (settings.pause_after_errors: ${max})`;
      const note = { by: "gavotte", why };
      const answer = await pauseRun(scriptsOf(context, partition), runId, "errors", note);
      paused.push(...(answer.kind === "paused" ? [runId] : []));
    }
    decided.add(runId);
  }
  if (paused.length > 0) {
    context.logger.warn({ partition, runs: paused }, "runs are paused: they fail again and again");
  }
  return paused;
}
