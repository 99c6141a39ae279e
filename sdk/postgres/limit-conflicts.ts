/**
 * What a run does to others of its key when it is accepted: it is refused for them, or they end for
 * it. Both are decided under the lock of their tenant, in the transaction that accepts the run.
 */
import { textArray } from "./arrays.ts";
import type { RunLimits } from "./admission-rules.ts";
import type { Queryable } from "./connect.ts";
import type { LimitedRun } from "./limit-looks.ts";
import { DATABASE_TIME_MS } from "./time.ts";

const OPEN = "('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')";
// One whose ended attempt is being redriven is as good as open.
const OPEN_OF_KEYS = {
  name: "admissions_open_of_keys",
  text: `SELECT a.key, a.run_id AS "runId" FROM admissions a JOIN runs r ON r.id = a.run_id
    WHERE a.key = ANY($1::text[]) AND a.state <> 'over'
      AND (r.status IN ${OPEN} OR (a.claimed_attempt = r.attempt
      AND a.claimed_until_ms > ${DATABASE_TIME_MS}))
    ORDER BY a.place`,
};
const END = {
  name: "admissions_end",
  text: `UPDATE admissions SET state = 'ending' WHERE run_id = ANY($1::text[])`,
};
const CANCEL_HELD = {
  name: "admissions_cancel_held",
  text: `UPDATE runs SET status = 'CANCELLED', error = u.error, ended_at_ms = $3, updated_at_ms = $3,
      idempotency_key = CASE WHEN $4 THEN NULL ELSE idempotency_key END
    FROM unnest($1::text[], $2::text[]) AS u(id, error)
    WHERE runs.id = u.id AND runs.held AND runs.status = 'QUEUED' RETURNING runs.id`,
};

/** A run that its key has no place for, and who has it. */
export interface RejectedRun {
  runId: string;
  text: string;
  limit: number;
  holder: string;
}

/**
 * Ends those of `fresh` whose key rejects a run too many, as cancelled, and gives their idempotency
 * keys back. Every unfinished run of the key counts. Call it under the tenants' locks.
 */
export async function rejectConflicts(
  tx: Queryable,
  fresh: readonly LimitedRun[],
  nowMs: number,
): Promise<RejectedRun[]> {
  const asking = fresh.filter(({ limits }) => limits.key?.onConflict === "reject");
  if (asking.length === 0) {
    return [];
  }
  const ids = new Set(asking.map((run) => run.id));
  const open = new Map<string, string[]>();
  for (const { key, runId } of await openOfKeys(tx, asking)) {
    if (!ids.has(runId)) {
      open.set(key, [...(open.get(key) ?? []), runId]);
    }
  }
  const rejected: RejectedRun[] = [];
  for (const { id: runId, limits } of asking) {
    const { id, text, limit } = limits.key as NonNullable<RunLimits["key"]>;
    const holders = open.get(id) ?? [];
    if (holders.length < limit) {
      open.set(id, [...holders, runId]);
    } else {
      rejected.push({ runId, text, limit, holder: holders[0] ?? "" });
    }
  }
  const errors = rejected.map((one) => [one.runId, rejectionOf(one)] as const);
  await cancelHeld(tx, errors, nowMs, true);
  return rejected;
}

/** The error of a run that was rejected, as JSON text. */
export function rejectionOf({ text, limit, holder }: RejectedRun): string {
  const which = text === "" ? "this workflow" : `key "${text}"`;
  const message =
    `${which} has as many unfinished runs as settings.concurrency allows (${limit}); ` +
    `run ${holder} is one of them: wait for its end or cancel it, then submit again`;
  return JSON.stringify({ code: "GV_CONCURRENCY_LIMIT", message, details: { run_id: holder } });
}

/**
 * Of the keys of `fresh` that cancel what runs, only the newest `limit` runs stay: others that wait
 * are cancelled here, those that were admitted are marked and returned.
 */
export async function endOlder(
  tx: Queryable,
  fresh: readonly LimitedRun[],
  nowMs: number,
): Promise<string[]> {
  const limits = new Map<string, number>();
  for (const { limits: of } of fresh) {
    if (of.key?.onConflict === "cancel_running") {
      limits.set(of.key.id, of.key.limit);
    }
  }
  if (limits.size === 0) {
    return [];
  }
  const open = new Map<string, string[]>();
  for (const { key, runId } of await tx.query<KeyedRun>(OPEN_OF_KEYS, [
    textArray([...limits.keys()]),
  ])) {
    open.set(key, [...(open.get(key) ?? []), runId]);
  }
  const older = [...open].flatMap(([key, ids]) => {
    const keep = limits.get(key) ?? 1;
    const newest = ids.at(-1) ?? "";
    return ids.slice(0, Math.max(0, ids.length - keep)).map((id) => [id, newest] as const);
  });
  if (older.length === 0) {
    return [];
  }
  await tx.query(END, [textArray(older.map(([id]) => id))]);
  const errors = older.map(([id, by]) => [id, supersededBy(by)] as const);
  const ended = new Set(await cancelHeld(tx, errors, nowMs, false));
  return older.flatMap(([id]) => (ended.has(id) ? [] : [id]));
}

function supersededBy(runId: string): string {
  const message = `cancelled for run ${runId}, which is newer and has the same key`;
  return JSON.stringify({ code: "CANCELLED", message });
}

interface KeyedRun {
  key: string;
  runId: string;
  [column: string]: unknown;
}

function openOfKeys(tx: Queryable, runs: readonly LimitedRun[]): Promise<KeyedRun[]> {
  const keys = new Set(runs.flatMap(({ limits }) => limits.key?.id ?? []));
  return tx.query<KeyedRun>(OPEN_OF_KEYS, [textArray([...keys])]);
}

async function cancelHeld(
  tx: Queryable,
  errors: readonly (readonly [runId: string, error: string])[],
  nowMs: number,
  freesIdempotencyKey: boolean,
): Promise<string[]> {
  if (errors.length === 0) {
    return [];
  }
  const rows = await tx.query<{ id: string }>(CANCEL_HELD, [
    textArray(errors.map(([id]) => id)),
    textArray(errors.map(([, error]) => error)),
    nowMs,
    freesIdempotencyKey,
  ]);
  return rows.map((row) => row.id);
}
