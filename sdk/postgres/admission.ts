/**
 * Accepting runs: definitions and rows in one transaction, each idempotency key once per tenant.
 *
 * After it returns, the rows are committed and "accepted" may be said; starting them in Redis
 * comes next, and whoever dies before leaves rows that the intake's sweep starts.
 */
import type { RunStatus } from "../status.ts";
import type { Database } from "./connect.ts";
import { insertDefinitions, type Definition } from "./definitions.ts";
import { insertRuns, runsById, runsByKey, type NewRun, type RunRow } from "./runs.ts";

export type Admission =
  /** `created`: this call made the row. Else it was there: the run to answer with is `runId`. */
  | { accepted: true; runId: string; created: boolean; status: RunStatus }
  | { accepted: false; message: string };

/** Admits runs; one answer per run, in order. A run's definition is among `definitions` or stored. */
export async function admitRuns(
  db: Database,
  definitions: readonly Definition[],
  runs: readonly NewRun[],
): Promise<Admission[]> {
  return db.transaction(async (tx) => {
    await insertDefinitions(tx, definitions);
    const fresh = await insertRuns(tx, runs);
    const others = runs.filter((run) => !fresh.has(run.id));
    const keyed = others.flatMap((run) =>
      run.idempotencyKey === null ? [] : [{ tenant: run.tenant, key: run.idempotencyKey }],
    );
    const known = [
      ...(await runsById(tx, runs.length === fresh.size ? [] : runs.map((run) => run.id))),
      ...(await runsByKey(tx, keyed)),
    ];
    return answers(runs, fresh, known);
  });
}

function answers(runs: readonly NewRun[], fresh: Set<string>, known: RunRow[]): Admission[] {
  const claimed = new Set<string>();
  return runs.map((run) => {
    // The same id twice in one batch: the row belongs to the first of them.
    if (fresh.has(run.id) && !claimed.has(run.id)) {
      claimed.add(run.id);
      return { accepted: true, runId: run.id, created: true, status: "QUEUED" };
    }
    const { tenant, idempotencyKey: key, requestHash } = run;
    const byKey = known.find(
      (row) => key !== null && row.tenant === tenant && row.idempotencyKey === key,
    );
    const first = byKey ?? known.find((row) => row.id === run.id);
    if (first === undefined) {
      return { accepted: false, message: `run ${run.id} vanished while it was admitted` };
    }
    if (first.requestHash !== requestHash || first.tenant !== tenant) {
      const what = byKey ? `idempotency key "${key ?? ""}"` : `run id ${run.id}`;
      return { accepted: false, message: `${what} was used before with another payload` };
    }
    return { accepted: true, runId: first.id, created: false, status: first.status };
  });
}
