/** Reading and tidying what waits for a limit: for the watch over it, and for people. */
import { bigintArray, textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
import { DATABASE_TIME_MS } from "./time.ts";

/** A place at which runs of a tenant wait: a key or a rate; "": the tenant's own places. */
export interface Gate {
  tenant: string;
  gate: string;
}

type GateRow = Gate & { [column: string]: unknown };
const FINAL = "('COMPLETED', 'FAILED', 'CANCELLED')";
const OPEN = "('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')";

const OF_RUNS = {
  name: "admissions_gates_of_runs",
  text: `SELECT DISTINCT tenant, coalesce(key, '') AS gate FROM admissions
    WHERE run_id = ANY($1::text[])`,
};
const WAITING = {
  name: "admissions_gates_waiting",
  text: `SELECT tenant, gate FROM (
      SELECT tenant, unnest(array_remove(ARRAY[key, rate], NULL)) AS gate FROM admissions
        WHERE state = 'waiting'
      UNION SELECT tenant, '' FROM admissions WHERE state = 'tenant') AS waiting
    WHERE (tenant, gate) > ($1, $2) ORDER BY tenant, gate LIMIT $3`,
};
const ANY_WAITING = {
  name: "admissions_any_waiting",
  text: "SELECT EXISTS (SELECT 1 FROM admissions WHERE state <> 'admitted') AS found",
};
const ENDING = {
  name: "admissions_ending",
  text: `SELECT a.run_id AS "runId" FROM admissions a JOIN runs r ON r.id = a.run_id
    WHERE a.state = 'ending' AND r.status IN ${OPEN} LIMIT $1`,
};
/** Rates whose runs count over different times, because versions of a workflow say different ones. */
const LONGEST = {
  name: "admissions_longest",
  text: `SELECT rate, max(rate_ms) AS ms FROM admissions WHERE rate IS NOT NULL
    GROUP BY rate HAVING min(rate_ms) < max(rate_ms)`,
};
const CLEAN = {
  name: "admissions_clean",
  text: `DELETE FROM admissions WHERE run_id IN (
    SELECT a.run_id FROM admissions a JOIN runs r ON r.id = a.run_id
      LEFT JOIN unnest($2::text[], $3::bigint[]) AS longest(rate, ms) ON longest.rate = a.rate
    WHERE r.status IN ${FINAL} AND NOT (r.status = 'FAILED' AND a.key IS NOT NULL)
      AND (a.admitted_at_ms IS NULL OR a.rate IS NULL
      OR a.admitted_at_ms < ${DATABASE_TIME_MS} - coalesce(longest.ms, a.rate_ms))
    LIMIT $1) RETURNING run_id`,
};
const READ = {
  name: "admissions_read",
  text: `SELECT a.tenant, a.state, a.key_text AS "keyText", a.key_limit AS "keyLimit",
      a.on_conflict AS "onConflict", a.rate_text AS "rateText", a.rate_limit AS "rateLimit",
      a.rate_ms AS "rateMs",
      ARRAY(SELECT o.run_id FROM admissions o JOIN runs r ON r.id = o.run_id
        WHERE o.key = a.key AND o.state IN ('admitted', 'ending') AND r.status IN ${OPEN}
        ORDER BY o.place LIMIT 10) AS holders,
      (SELECT count(*)::integer FROM admissions o JOIN runs r ON r.id = o.run_id
        WHERE o.key = a.key AND o.state IN ('admitted', 'ending') AND r.status IN ${OPEN}) AS held,
      (SELECT count(*)::integer FROM admissions o JOIN runs r ON r.id = o.run_id
        WHERE o.tenant = a.tenant AND o.state IN ('admitted', 'ending') AND r.status IN ${OPEN})
        AS "tenantRuns",
      (SELECT o.admitted_at_ms + a.rate_ms FROM admissions o WHERE o.rate = a.rate
        AND o.admitted_at_ms > ${DATABASE_TIME_MS} - a.rate_ms
        ORDER BY o.admitted_at_ms DESC OFFSET a.rate_limit - 1 LIMIT 1) AS "rateFreeMs",
      (SELECT count(*)::integer FROM admissions o WHERE o.state = a.state
        AND (o.key = a.key OR o.rate = a.rate OR (a.state = 'tenant' AND o.tenant = a.tenant))
        AND (o.turn_ms, o.place) < (a.turn_ms, a.place)) AS ahead
    FROM admissions a JOIN runs r ON r.id = a.run_id
    WHERE a.run_id = $1 AND r.status = 'QUEUED' AND r.held`,
};

/** What a run that may not start yet waits for. */
export interface AdmissionWait {
  tenant: string;
  state: "waiting" | "tenant";
  keyText: string | null;
  keyLimit: number | null;
  onConflict: string | null;
  rateText: string | null;
  rateLimit: number | null;
  rateMs: number | null;
  /** Runs that have the key's places, at most ten of them. */
  holders: string[];
  held: number;
  /** Runs that have places of the tenant. */
  tenantRuns: number;
  /** When the rate has its next start; null: now, or it has none. */
  rateFreeMs: number | null;
  /** Runs that wait for the same and have their turn before. */
  ahead: number;
}

/** The gates at which these runs had places. */
export function gatesOfRuns(db: Queryable, runIds: readonly string[]): Promise<Gate[]> {
  return db.query<GateRow>(OF_RUNS, [textArray(runIds)]);
}

/** The gate that stands before all others. */
export const NO_GATE: Gate = { tenant: "", gate: "" };

/** Gates at which somebody waits, in a fixed order, behind `after`. */
export function waitingGates(db: Queryable, after: Gate, limit: number): Promise<Gate[]> {
  return db.query<GateRow>(WAITING, [after.tenant, after.gate, limit]);
}

/** Whether anybody waits for a limit, or is to end for one. */
export async function anyWaiting(db: Queryable): Promise<boolean> {
  return (await db.query<{ found: boolean }>(ANY_WAITING, []))[0]?.found ?? false;
}

/** Unfinished runs that are to be cancelled for newer ones. */
export async function endingRuns(db: Queryable, limit: number): Promise<string[]> {
  const rows = await db.query<{ runId: string }>(ENDING, [limit]);
  return rows.map((row) => row.runId);
}

/** Removes what no limit counts any more; that of a failed run tells a redrive its key. */
export async function cleanAdmissions(db: Queryable, limit: number): Promise<void> {
  const longest = await db.query<{ rate: string; ms: number }>(LONGEST, []);
  const rates = textArray(longest.map(({ rate }) => rate));
  const times = bigintArray(longest.map(({ ms }) => ms));
  let count: number;
  do {
    count = (await db.query(CLEAN, [limit, rates, times])).length;
  } while (count === limit);
}

/** What keeps an accepted run from being started; null: nothing does. */
export async function readAdmission(db: Queryable, runId: string): Promise<AdmissionWait | null> {
  const rows = await db.query<AdmissionWait & { [column: string]: unknown }>(READ, [runId]);
  return rows[0] ?? null;
}
