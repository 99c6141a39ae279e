/**
 * Admission of runs that have limits: rows written and decided under one lock per tenant.
 *
 * A place is taken by an admitted run whose row has not ended: the count reads the rows of runs
 * themselves, so it cannot drift, and after a loss of Redis it is still right. Every limit is of one
 * tenant, so its lock makes "count, then admit" one step, whichever supervisors do it at one time.
 * Ends need no lock: they only free places.
 */
import { textArray, integerArray, bigintArray } from "./arrays.ts";
import {
  decideAdmissions,
  turnOf,
  type Candidate,
  type Decided,
  type RunLimits,
  type Starts,
  type Taken,
} from "./admission-rules.ts";
import type { Queryable } from "./connect.ts";
import type { NewRun } from "./runs.ts";
import { databaseTimeMs } from "./time.ts";
import { DATABASE_TIME_MS } from "./time.ts";

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

/** Which places of a tenant to look at; `gates`: ids of keys and rates. */
export interface LimitLook {
  tenant: string;
  gates: readonly string[];
  /** Runs that the tenant may have in progress; null: no end. */
  tenantMax: number | null;
}

/** Candidates per gate that one look asks. */
const ASKED_MAX = 200;
const LOCK_CLASS = 0x6777;
const OPEN = "('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')";
const TAKEN = "('admitted', 'ending')";

/** Its ended attempt is being redriven; `$2` is now. */
const CLAIMED = "(a.claimed_until_ms > $2 AND a.claimed_attempt = r.attempt)";

const LOCK = {
  name: "admissions_lock",
  text: "SELECT pg_advisory_xact_lock($1, hashtext($2))",
};
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
const waitingAt = (gate: string): string => `SELECT a.* FROM admissions a
    JOIN runs r ON r.id = a.run_id AND r.held AND r.status = 'QUEUED'
    WHERE ${gate} ORDER BY a.turn_ms, a.place LIMIT $3`;
const CANDIDATES = {
  name: "admissions_candidates",
  text: `SELECT run_id AS "runId", key, key_limit AS "keyLimit", rate, rate_limit AS "rateLimit",
      rate_ms AS "rateMs"
    FROM (
      SELECT c.* FROM unnest($2::text[]) AS g(gate)
        CROSS JOIN LATERAL (${waitingAt("a.key = gate AND a.state = 'waiting'")}) AS c
      UNION SELECT c.* FROM unnest($2::text[]) AS g(gate)
        CROSS JOIN LATERAL (${waitingAt("a.rate = gate AND a.state = 'waiting'")}) AS c
      UNION (${waitingAt("a.tenant = $1 AND a.state = 'tenant'")})
    ) AS one ORDER BY turn_ms, place`,
};
const KEYS = {
  name: "admissions_keys",
  text: `SELECT a.key AS gate, count(*)::integer AS count
    FROM admissions a JOIN runs r ON r.id = a.run_id
    WHERE a.key = ANY($1::text[]) AND a.state IN ${TAKEN}
      AND (r.status IN ${OPEN} OR ${CLAIMED}) GROUP BY a.key`,
};
const RATES = {
  name: "admissions_rates",
  text: `SELECT u.gate, u.ms, count(*)::integer AS count, min(admitted_at_ms) AS "firstMs"
    FROM admissions a JOIN unnest($1::text[], $2::bigint[]) AS u(gate, ms) ON a.rate = u.gate
    WHERE a.admitted_at_ms > $3 - u.ms GROUP BY u.gate, u.ms`,
};
const TENANT = {
  name: "admissions_tenant",
  text: `SELECT count(*)::integer AS count FROM admissions a JOIN runs r ON r.id = a.run_id
    WHERE a.tenant = $1 AND a.state IN ${TAKEN} AND r.status IN ${OPEN}`,
};
const ADMIT = {
  name: "admissions_admit",
  text: `WITH a AS (UPDATE admissions SET state = 'admitted', admitted_at_ms = $2
      WHERE run_id = ANY($1::text[]))
    UPDATE runs SET held = false WHERE id = ANY($1::text[])`,
};
const OWN = {
  name: "admissions_own",
  text: `SELECT tenant, key, key_limit AS limit FROM admissions
    WHERE run_id = $1 AND key IS NOT NULL`,
};
const OTHERS = {
  name: "admissions_others",
  text: `SELECT a.run_id AS "runId" FROM admissions a JOIN runs r ON r.id = a.run_id
    WHERE a.key = $1 AND a.state IN ${TAKEN} AND a.run_id <> $3
      AND (r.status IN ${OPEN} OR ${CLAIMED}) ORDER BY a.place`,
};
const CLAIM = {
  name: "admissions_claim",
  text: `UPDATE admissions SET state = 'admitted', claimed_until_ms = $2,
      claimed_attempt = (SELECT attempt FROM runs WHERE id = $1)
    WHERE run_id = $1`,
};
const KEEP_CLAIM = {
  name: "admissions_keep_claim",
  text: `UPDATE admissions SET claimed_until_ms =
      ${DATABASE_TIME_MS} + $2
    WHERE run_id = $1 AND claimed_until_ms IS NOT NULL`,
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

/** Admits who may start, of those that wait at these gates and for the tenant. Takes its lock. */
export async function lookAtLimits(
  tx: Queryable,
  look: LimitLook,
): Promise<Omit<LimitEffects, "ending">> {
  const { tenant } = look;
  await tx.query(LOCK, [LOCK_CLASS, tenant]);
  const gates = textArray(look.gates);
  const asked = await tx.query<CandidateRow>(CANDIDATES, [tenant, gates, ASKED_MAX]);
  if (asked.length === 0) {
    return { admitted: [], dues: [] };
  }
  const taken = await takenBy(tx, look, asked);
  const { nowMs } = taken;
  const decided = decideAdmissions(asked, taken);
  await write(tx, decided, nowMs);
  const dues = [...decided.dues].map(([gate, due]) => ({ tenant, gate, inMs: due - nowMs }));
  // There may be more who can go than one look asks.
  const isMore = asked.length >= ASKED_MAX && decided.admitted.length > 0;
  const again = isMore ? look.gates.map((gate) => ({ tenant, gate, inMs: 0 })) : [];
  return { admitted: decided.admitted, dues: [...dues, ...again] };
}

/**
 * Takes a place of its key for an ended run that is to be redriven, for `claimMs` or until its row is
 * open again. Null: it has one, or needs none; else a run that has the place.
 */
export async function claimPlace(
  tx: Queryable,
  runId: string,
  claimMs: number,
): Promise<string | null> {
  const [own] = await tx.query<OwnRow>(OWN, [runId]);
  if (own === undefined) {
    return null;
  }
  await tx.query(LOCK, [LOCK_CLASS, own.tenant]);
  const { holder, nowMs } = await holderOf(tx, runId, own);
  if (holder === null) {
    await tx.query(CLAIM, [runId, nowMs + claimMs]);
  }
  return holder;
}

/** A claimed place is kept for `claimMs` from now: the opening of its row is under way. */
export async function keepPlace(db: Queryable, runId: string, claimMs: number): Promise<void> {
  await db.query(KEEP_CLAIM, [runId, claimMs]);
}

/** What `claimPlace` would answer now; nothing is taken. */
export async function placeHolder(db: Queryable, runId: string): Promise<string | null> {
  const [own] = await db.query<OwnRow>(OWN, [runId]);
  return own === undefined ? null : (await holderOf(db, runId, own)).holder;
}

type OwnRow = { tenant: string; key: string; limit: number };

async function holderOf(
  db: Queryable,
  runId: string,
  { key, limit }: OwnRow,
): Promise<{ holder: string | null; nowMs: number }> {
  const nowMs = await databaseTimeMs(db);
  const others = await db.query<{ runId: string }>(OTHERS, [key, nowMs, runId]);
  return { holder: others.length >= limit ? (others[0]?.runId ?? "") : null, nowMs };
}

type CandidateRow = Candidate & { [column: string]: unknown };

async function takenBy(
  tx: Queryable,
  { tenant, tenantMax }: LimitLook,
  asked: readonly Candidate[],
): Promise<Taken> {
  const keys = textArray([...new Set(asked.flatMap(({ key }) => key ?? []))]);
  const nowMs = await databaseTimeMs(tx);
  const held = await tx.query<{ gate: string; count: number }>(KEYS, [keys, nowMs]);
  const rates = await startsOf(tx, asked, nowMs);
  const [places] = tenantMax === null ? [] : await tx.query<{ count: number }>(TENANT, [tenant]);
  return {
    keys: new Map(held.map(({ gate, count }) => [gate, count])),
    rates,
    tenant: places?.count ?? 0,
    tenantMax,
    nowMs,
  };
}

/** Starts within each time that a candidate's rate counts over. */
async function startsOf(
  tx: Queryable,
  asked: readonly Candidate[],
  nowMs: number,
): Promise<Taken["rates"]> {
  const rates: Taken["rates"] = new Map();
  for (const { rate, rateMs } of asked) {
    if (rate !== null) {
      const windows = rates.get(rate) ?? new Map<number, Starts>();
      rates.set(rate, windows.set(rateMs, { count: 0, firstMs: nowMs }));
    }
  }
  const pairs = [...rates].flatMap(([gate, windows]) =>
    [...windows.keys()].map((ms) => ({ gate, ms })),
  );
  const [gates, times] = [pairs.map(({ gate }) => gate), pairs.map(({ ms }) => ms)];
  const rows =
    pairs.length === 0
      ? []
      : await tx.query<StartsRow>(RATES, [textArray(gates), bigintArray(times), nowMs]);
  rows.forEach(({ gate, ms, count, firstMs }) => rates.get(gate)?.set(ms, { count, firstMs }));
  return rates;
}

type StartsRow = Starts & { gate: string; ms: number; [column: string]: unknown };

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
