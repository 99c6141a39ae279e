/** Reading what waits for a limit: for the watch over it, and for people. */
import type { Queryable } from "./connect.ts";
import { DATABASE_TIME_MS } from "./time.ts";

/** A place at which runs of a tenant wait: a key or a rate; "": the tenant's own places. */
export interface Gate {
  tenant: string;
  gate: string;
}

type GateRow = Gate & { [column: string]: unknown };
const OPEN = "('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')";

/** From one to the next that somebody waits at: rows of those who wait behind the first are not read. */
const gatesBy = (name: string, gate: string, state: string): string => {
  const next = (after: string): string => `SELECT tenant, ${gate} AS gate FROM admissions
        WHERE state = '${state}' AND ${gate} > ${after} ORDER BY ${gate} LIMIT 1`;
  return `${name}(tenant, gate, n) AS (
      SELECT tenant, gate, 1 FROM (${next("$2")}) AS first
      UNION ALL SELECT f.tenant, f.gate, n + 1 FROM ${name} AS b
        CROSS JOIN LATERAL (${next("b.gate")}) AS f WHERE n < $3)`;
};
const WAITING = {
  name: "admissions_gates_waiting",
  text: `WITH RECURSIVE ${gatesBy("keys", "key", "waiting")},
    ${gatesBy("rates", "rate", "waiting")},
    ${gatesBy("tenants", "tenant", "tenant").replaceAll("$2", "$1")}
    SELECT tenant, gate FROM (
      SELECT tenant, '' AS gate FROM tenants WHERE $2 = ''
      UNION SELECT tenant, gate FROM keys UNION SELECT tenant, gate FROM rates) AS waiting
    ORDER BY gate, tenant LIMIT $3`,
};
/** By an order that one index has: without it any may be gone through for one that there is not. */
const anyOf = (where: string, order: string): string =>
  `(SELECT 1 FROM admissions WHERE ${where} ORDER BY ${order} LIMIT 1) = 1`;
const ANY_WAITING = {
  name: "admissions_any_waiting",
  text: `SELECT COALESCE(${anyOf("state = 'waiting' AND key IS NOT NULL", "key, turn_ms, place")}
      OR ${anyOf("state = 'waiting' AND rate IS NOT NULL", "rate, turn_ms, place")}
      OR ${anyOf("state = 'tenant'", "tenant, turn_ms, place")}
      OR ${anyOf("state = 'ending'", "tenant, place")}, false) AS found`,
};
const ENDING = {
  name: "admissions_ending",
  text: `SELECT a.run_id AS "runId" FROM admissions a JOIN runs r ON r.id = a.run_id
    WHERE a.state = 'ending' AND r.status IN ${OPEN}
    ORDER BY a.tenant, a.place LIMIT $1`,
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

/** What keeps an accepted run from being started; null: nothing does. */
export async function readAdmission(db: Queryable, runId: string): Promise<AdmissionWait | null> {
  const rows = await db.query<AdmissionWait & { [column: string]: unknown }>(READ, [runId]);
  return rows[0] ?? null;
}
