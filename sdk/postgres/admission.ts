/**
 * Accepting runs: definitions and rows in one transaction, each idempotency key once per tenant.
 *
 * Runs with limits are decided about in the same transaction. After it returns, the rows are
 * committed and "accepted" may be said; starting them in Redis
 * comes next, and whoever dies before leaves rows that the intake's sweep starts.
 */
import { isDeepStrictEqual } from "node:util";
import type { RunStatus } from "../status.ts";
import type { Database, Queryable } from "./connect.ts";
import { insertDefinitions, type Definition } from "./definitions.ts";
import { endOlder, rejectConflicts, rejectionOf, type RejectedRun } from "./limit-conflicts.ts";
import {
  insertAdmissions,
  lookAtLimits,
  type LimitedRun,
  type LimitEffects,
} from "./limit-looks.ts";
import { insertRuns, runsById, runsByKey, type NewRun, type RunRow } from "./runs.ts";

export type Admission =
  /**
   * `created`: this call made the row. Else it was there: the run to answer with is `runId`.
   * `held`: it is not to be started before its limits let it.
   */
  | { accepted: true; runId: string; created: boolean; status: RunStatus; held: boolean }
  /** `code`: its row is there, and has ended with this error. */
  | { accepted: false; message: string; code?: "GV_CONCURRENCY_LIMIT" };

export interface AdmissionGate {
  /** Runs that a tenant may have in progress; null: no end. */
  tenantMax(tenant: string): number | null;
  nowMs: number;
  /** Told after the commit what became of limits. */
  told(effects: LimitEffects): void;
}

/**
 * Admits runs; one answer per run, in order. A run's definition is among `definitions` or stored.
 * Runs with limits need a gate.
 */
export async function admitRuns(
  db: Database,
  definitions: readonly Definition[],
  runs: readonly NewRun[],
  gate?: AdmissionGate,
): Promise<Admission[]> {
  const work = (tx: Queryable): Promise<Admitted> => admit(tx, definitions, runs, gate);
  // Most batches are one statement, which is a transaction by itself: two round trips less.
  const isPlain = ({ limits, blobs }: NewRun): boolean =>
    limits === undefined && blobs === undefined;
  const isOne = definitions.length === 0 && runs.every(isPlain);
  const done = await (isOne ? work(db) : db.transaction(work));
  if (done.effects !== null) {
    gate?.told(done.effects);
  }
  return done.admissions;
}

interface Admitted {
  effects: LimitEffects | null;
  admissions: Admission[];
}

async function admit(
  tx: Queryable,
  definitions: readonly Definition[],
  runs: readonly NewRun[],
  gate?: AdmissionGate,
): Promise<Admitted> {
  await insertDefinitions(tx, definitions);
  const fresh = await insertRuns(tx, runs);
  const limited = runs.filter((run): run is LimitedRun => run.limits !== undefined);
  const own = limited.filter((run, i) => fresh.has(run.id) && limited.indexOf(run) === i);
  const effects = own.length > 0 && gate ? await limit(tx, own, gate) : null;
  const others = runs.filter((run) => !fresh.has(run.id));
  const keyed = others.flatMap((run) =>
    run.idempotencyKey === null ? [] : [{ tenant: run.tenant, key: run.idempotencyKey }],
  );
  const known = [
    ...(await runsById(tx, runs.length === fresh.size ? [] : runs.map((run) => run.id))),
    ...(await runsByKey(tx, keyed)),
  ];
  return { effects, admissions: answers(runs, fresh, known, effects?.rejected ?? []) };
}

async function limit(
  tx: Queryable,
  fresh: readonly LimitedRun[],
  gate: AdmissionGate,
): Promise<LimitEffects & { rejected: RejectedRun[] }> {
  await insertAdmissions(tx, fresh);
  const rejected = await rejectConflicts(tx, fresh, gate.nowMs);
  const ending = await endOlder(tx, fresh, gate.nowMs);
  const effects = { admitted: [] as string[], ending, dues: [] as LimitEffects["dues"], rejected };
  const gates = new Map<string, Set<string>>();
  for (const { tenant, limits } of fresh) {
    const of = gates.get(tenant) ?? new Set();
    gates.set(tenant, of);
    [limits.key?.id, limits.rate?.id].forEach((id) => id !== undefined && of.add(id));
  }
  for (const [tenant, of] of gates) {
    const look = { tenant, gates: [...of], tenantMax: gate.tenantMax(tenant) };
    const { admitted, dues } = await lookAtLimits(tx, look);
    effects.admitted.push(...admitted);
    effects.dues.push(...dues);
  }
  return effects;
}

function answers(
  runs: readonly NewRun[],
  fresh: Set<string>,
  known: RunRow[],
  rejected: readonly RejectedRun[],
): Admission[] {
  const claimed = new Set<string>();
  return runs.map((run) => {
    const refusal = rejected.find(({ runId }) => runId === run.id);
    if (refusal !== undefined) {
      return refused(rejectionOf(refusal));
    }
    // The same id twice in one batch: the row belongs to the first of them.
    if (fresh.has(run.id) && !claimed.has(run.id)) {
      claimed.add(run.id);
      return {
        accepted: true,
        runId: run.id,
        created: true,
        status: "QUEUED",
        held: run.limits !== undefined,
      };
    }
    const { tenant, idempotencyKey: key } = run;
    const byKey = known.find(
      (row) => key !== null && row.tenant === tenant && row.idempotencyKey === key,
    );
    const first = byKey ?? known.find((row) => row.id === run.id);
    if (first === undefined) {
      // Another one of this batch had the key, was refused, and has given it back.
      const other = rejected.find((one) => isOfKey(runs, one, run));
      return other === undefined
        ? { accepted: false, message: `run ${run.id} vanished while it was admitted` }
        : refused(rejectionOf(other));
    }
    if (!isSameRequest(run, first)) {
      const what = byKey ? `idempotency key "${key ?? ""}"` : `run id ${run.id}`;
      const of = byKey ? ` by run ${byKey.id}` : "";
      return { accepted: false, message: `${what} was used before${of} with another payload` };
    }
    if (first.startedAtMs === null && first.error?.includes("GV_CONCURRENCY_LIMIT") === true) {
      return refused(first.error);
    }
    const { id: runId, status, held } = first;
    return { accepted: true, runId, created: false, status, held };
  });
}

function isOfKey(runs: readonly NewRun[], { runId }: RejectedRun, run: NewRun): boolean {
  const { tenant, idempotencyKey: key } = run;
  return runs.some(
    (one) =>
      one.id === runId && one.tenant === tenant && key !== null && one.idempotencyKey === key,
  );
}

/**
 * Whether a run asks for what a row was made for. The rows of a key have a digest of that; what came
 * under an id alone, hardly ever twice, is compared itself.
 */
function isSameRequest(run: NewRun, row: RunRow): boolean {
  if (run.idempotencyKey !== null || row.idempotencyKey !== null) {
    return run.requestHash === row.requestHash && run.tenant === row.tenant;
  }
  const isWorkflow = run.isByReference === true || run.irHash === row.irHash;
  return (
    isWorkflow &&
    (["tenant", "workflow", "namespace", "priority"] as const).every((is) => run[is] === row[is]) &&
    (run.start ?? null) === row.start &&
    isSameInput(run.input, row.input)
  );
}

/** Members in another order are no other input. */
function isSameInput(a: string, b: string): boolean {
  try {
    return a === b || isDeepStrictEqual(JSON.parse(a), JSON.parse(b));
  } catch {
    return false; // references to large ones
  }
}

function refused(error: string): Admission {
  const { message } = JSON.parse(error) as { message: string };
  return { accepted: false, message, code: "GV_CONCURRENCY_LIMIT" };
}
