/**
 * Runs that were accepted for a `gavotte run` that is gone, and forgotten: its submission had waited in
 * the queue, for a supervisor or for Postgres. Nobody would ever serve them.
 */
import { isRunNamespace, isTerminal } from "../sdk/internal.ts";
import { keptAmong, runsById, type NewRun } from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";
import { endRun } from "./end-run.ts";

/** Ends those of these runs, whose rows are committed, that nobody serves; returns their ids. */
export async function endUnserved(
  context: SupervisorContext,
  runs: readonly NewRun[],
): Promise<Set<string>> {
  const ours = runs.filter(({ namespace }) => isRunNamespace(namespace));
  if (ours.length === 0) {
    return new Set();
  }
  // After the commit: who forgets a namespace looks for rows with its entry locked (forgetNamespace).
  const kept = await keptAmong(context.db, [...new Set(ours.map(({ namespace }) => namespace))]);
  const ids = ours.filter(({ namespace }) => !kept.has(namespace)).map(({ id }) => id);
  const rows = ids.length === 0 ? [] : await runsById(context.db, ids);
  for (const row of rows.filter(({ status }) => !isTerminal(status))) {
    await endRun(context, row, "the command that submitted it was gone before it began");
  }
  return new Set(ids);
}
