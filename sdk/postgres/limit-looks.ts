/**
 * Admission of runs that have limits: rows written and decided under one lock per tenant.
 *
 * A place is taken by an admitted run whose row has not ended: the count reads the rows of runs
 * themselves, so it cannot drift, and after a loss of Redis it is still right. Every limit is of one
 * tenant, so its lock makes "count, then admit" one step, whichever supervisors do it at one time.
 * Ends need no lock: they only free places.
 */
import { textArray, integerArray, bigintArray } from "./arrays.ts";
import { decideAdmissions, turnOf, type Decided, type RunLimits } from "./admission-rules.ts";
import type { Queryable } from "./connect.ts";
import { LimitCounts, LOCK, LOCK_CLASS, type LimitLook } from "./limit-counts.ts";
import { askAt, askMore, openDoors, unusedDoors } from "./limit-doors.ts";
import { settleEnded } from "./limit-ends.ts";
import type { NewRun } from "./runs.ts";
import { databaseTimeMs } from "./time.ts";

/** A run that has limits, as it is accepted. */
export type LimitedRun = NewRun & { limits: RunLimits };

/** What a look at a tenant's limits has changed, and what is to be done about it. */
export interface LimitEffects {
  /** Runs that may start now. */
  admitted: string[];
  /** Runs that are to be cancelled for newer ones of their key. */
  ending: string[];
  /** Rates that keep somebody waiting: when the next start is free, by the database's clock. */
  dues: { tenant: string; gate: string; inMs: number }[];
}

const INSERT = {
  name: "admissions_insert",
  text: `INSERT INTO admissions (run_id, tenant, turn_ms, state, key, key_text, key_limit,
      on_conflict, rate, rate_text, rate_limit, rate_ms)
    SELECT run_id, tenant, turn_ms, CASE WHEN key IS NULL AND rate IS NULL THEN 'tenant'
      ELSE 'waiting' END, key, key_text, key_limit, on_conflict, rate, rate_text, rate_limit, rate_ms
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::integer[],
        $7::text[], $8::text[], $9::text[], $10::integer[], $11::bigint[]) WITH ORDINALITY
      AS u(run_id, tenant, turn_ms, key, key_text, key_limit, on_conflict, rate, rate_text,
        rate_limit, rate_ms, at)
    ORDER BY at`,
};
const ADMIT = {
  name: "admissions_admit",
  text: `WITH a AS (UPDATE admissions SET state = 'admitted', admitted_at_ms = $2
      WHERE run_id = ANY($1::text[]))
    UPDATE runs SET held = false WHERE id = ANY($1::text[])`,
};
const STATE = {
  name: "admissions_state",
  text: `UPDATE admissions SET state = $2 WHERE run_id = ANY($1::text[])
    AND state IN ('waiting', 'tenant') AND state <> $2`,
};
/** Writes the rows of runs that were just inserted as held. Locks their tenants. */
export async function insertAdmissions(tx: Queryable, runs: readonly LimitedRun[]): Promise<void> {
  for (const tenant of [...new Set(runs.map((run) => run.tenant))].sort()) {
    await tx.query(LOCK, [LOCK_CLASS, tenant]);
  }
  await tx.query(INSERT, [
    textArray(runs.map((r) => r.id)),
    textArray(runs.map((r) => r.tenant)),
    bigintArray(runs.map((r) => turnOf(r.createdAtMs, r.priority))),
    textArray(runs.map((r) => r.limits.key?.id ?? null)),
    textArray(runs.map((r) => r.limits.key?.text ?? null)),
    integerArray(runs.map((r) => r.limits.key?.limit ?? null)),
    textArray(runs.map((r) => r.limits.key?.onConflict ?? null)),
    textArray(runs.map((r) => r.limits.rate?.id ?? null)),
    textArray(runs.map((r) => r.limits.rate?.text ?? null)),
    integerArray(runs.map((r) => r.limits.rate?.limit ?? null)),
    bigintArray(runs.map((r) => r.limits.rate?.perMs ?? null)),
  ]);
}

/**
 * Admits who may start, of those that wait at these gates and for the tenant. Takes its lock.
 *
 * First it is counted how many each gate lets in at most, then so many are asked: a gate without a
 * place costs its count, however many wait there. Where some that were asked wait for something else,
 * more are; who comes first is decided at the end, about all that were asked.
 */
export async function lookAtLimits(
  tx: Queryable,
  look: LimitLook,
): Promise<Omit<LimitEffects, "ending">> {
  const { tenant } = look;
  await tx.query(LOCK, [LOCK_CLASS, tenant]);
  const counts = new LimitCounts(tx, look, await databaseTimeMs(tx));
  const { nowMs } = counts;
  const { doors, dues } = await openDoors(tx, look, counts);
  for (;;) {
    const asked = await askAt(tx, doors);
    const candidates = asked.filter(({ mayGo }) => mayGo);
    const taken = await counts.takenBy(candidates);
    const decided = decideAdmissions(candidates, taken);
    const isFull = taken.tenantMax !== null && taken.tenant >= taken.tenantMax;
    const unused = isFull ? [] : unusedDoors(doors, asked, decided.admitted);
    if (askMore(unused)) {
      continue;
    }
    await write(tx, decided, nowMs);
    const over = asked.filter(({ isOver }) => isOver).map(({ runId }) => runId);
    await settleEnded(tx, over);
    decided.dues.forEach((due, gate) => dues.set(gate, Math.min(dues.get(gate) ?? due, due)));
    const told = [...dues].map(([gate, due]) => ({ tenant, gate, inMs: due - nowMs }));
    // There may be more who can go than one look asks.
    const isCut = unused.length > 0 && decided.admitted.length + over.length > 0;
    const again = isCut ? look.gates.map((gate) => ({ tenant, gate, inMs: 0 })) : [];
    return { admitted: decided.admitted, dues: [...told, ...again] };
  }
}

async function write(tx: Queryable, decided: Decided, nowMs: number): Promise<void> {
  const { admitted, waiting, tenant } = decided;
  if (admitted.length > 0) {
    await tx.query(ADMIT, [textArray(admitted), nowMs]);
  }
  if (waiting.length > 0) {
    await tx.query(STATE, [textArray(waiting), "waiting"]);
  }
  if (tenant.length > 0) {
    await tx.query(STATE, [textArray(tenant), "tenant"]);
  }
}
