/**
 * What a `gavotte run` does when its run has ended: it goes on serving what came of the run - what
 * undoes it, children that nobody waits for - since nobody else serves its namespace.
 *
 * All of that has its row by then: the archive decides in the transaction in which a run ends whether
 * it is undone, and has read before that which children were started. Who does not want to wait
 * interrupts; then a supervisor gives the rest to all workers (supervisor/namespaces.ts), as when the
 * process dies.
 */
import { errorIn } from "../sdk/client-report.ts";
import {
  compensationOf,
  openInNamespace,
  runsById,
  type Database,
  type OpenRun,
  type RunNamespace,
} from "../sdk/postgres/index.ts";
import type { Context } from "./context.ts";
import { Unread } from "./exit.ts";
import type { Output } from "./output.ts";

const POLL_MS = 200;
/** Runs that one look counts; what is behind them is seen when these have ended. */
const LOOK_MAX = 100;

/** Returns when no run of the namespace is open. Throws the interrupt that came meanwhile. */
export async function serveRest(
  { output, signal }: Context,
  db: Database,
  kept: Pick<RunNamespace, "runId" | "namespace">,
): Promise<void> {
  const { runId } = kept;
  const wasInterrupted = signal.aborted;
  const how = wasInterrupted ? "interrupt again" : "interrupt";
  const told = new Set<string>();
  const undoing = new Set<string>();
  let before: readonly OpenRun[] = [];
  for (;;) {
    const open = await openInNamespace(db, kept, LOOK_MAX);
    if (open.length === 0) {
      return tellUndone(output, db, runId, undoing);
    }
    open.forEach(({ id, compensates }) => compensates !== null && undoing.add(id));
    // A run's end takes its children a moment later: what is there at two looks is worth a word.
    const stays = open.filter(({ id }) => id !== runId && before.some((one) => one.id === id));
    for (const run of stays.filter(({ id }) => !told.has(id))) {
      output.note(`${servingText(run)} (${how} to leave that to the other workers)`);
      told.add(run.id);
    }
    if (!wasInterrupted && signal.aborted && !(signal.reason instanceof Unread)) {
      const left = open.map(({ id }) => id).join(", ");
      output.note(`left to the other workers, as soon as a supervisor finds it: ${left}`);
      throw signal.reason as Error;
    }
    before = open;
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

function servingText({ id, workflow, compensates }: OpenRun): string {
  return compensates === null
    ? `run ${id} (${workflow}) goes on, and is served here until its end`
    : `undoing what run ${compensates} did: run ${id}`;
}

/** How what undid the run, or a run below it, has ended. */
async function tellUndone(
  output: Output,
  db: Database,
  runId: string,
  undoing: ReadonlySet<string>,
): Promise<void> {
  const own = await compensationOf(db, runId);
  const ids = new Set([...undoing, ...(own === null ? [] : [own.id])]);
  for (const { id, compensates, status, error } of await runsById(db, [...ids])) {
    const { code, message } = errorIn(error) ?? { code: "", message: "no reason is known" };
    output.note(
      status === "COMPLETED"
        ? `what run ${compensates ?? ""} did is undone: run ${id}`
        : `what run ${compensates ?? ""} did is not undone: run ${id} ${status}: ${code} ${message}`,
    );
  }
}
