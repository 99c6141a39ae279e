/**
 * `settings.pause_after_errors`: a run whose attempts fail one after the other is paused.
 *
 * Counted in the archived journal, from its end back to the last node that completed or the last
 * resume: so it needs no state, survives every process, and steps pay nothing for it. It is a moment
 * late; what the run did meanwhile is accepted as in any paused run.
 */
import { pauseRun, type Transition } from "../sdk/internal.ts";
import { readJournal } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import type { BlockFold } from "./fold-block.ts";
import type { StoredIr } from "./ir-store.ts";

const FAILURES: ReadonlySet<string> = new Set(["node.retrying", "node.failed"]);
const FRESH: ReadonlySet<string> = new Set(["node.completed", "run.resumed", "run.redriven"]);

/** Failed attempts since the last success, resume or redrive. */
export function errorsInARow(journal: readonly { transition: Transition }[]): number {
  const start = journal.findLastIndex(({ transition }) => FRESH.has(transition.e)) + 1;
  return journal.slice(start).filter(({ transition }) => FAILURES.has(transition.e)).length;
}

/** Pauses those runs of an archived block that have failed too often; returns their ids. */
export async function pauseAfterErrors(
  context: SupervisorContext,
  partition: number,
  fold: BlockFold,
  irs: ReadonlyMap<string, StoredIr>,
): Promise<string[]> {
  const paused: string[] = [];
  for (const runId of fold.withErrors) {
    const max = irs.get(runId)?.ir.settings.pause_after_errors;
    if (max === undefined || fold.runs.get(runId)?.endedAtMs !== null) {
      continue;
    }
    const count = errorsInARow(await readJournal(context.db, runId));
    if (count >= max) {
      const why = `${count} failed attempts in a row (settings.pause_after_errors: ${max})`;
      const note = { by: "gavotte", why };
      const answer = await pauseRun(scriptsOf(context, partition), runId, "errors", note);
      paused.push(...(answer.kind === "paused" ? [runId] : []));
    }
  }
  if (paused.length > 0) {
    context.logger.warn({ partition, runs: paused }, "runs are paused: they fail again and again");
  }
  return paused;
}
