/**
 * What becomes of a run's admission when the run has ended.
 *
 * It goes, unless somebody asks for it later: a redrive of a failed run for its key, a rate for its
 * start. Then it is `over`, and no longer among those that an admission counts through; so what one
 * costs does not grow with runs that have ended. No lock of a tenant is needed: an ended run has no
 * place, whatever its row says, except one that a redrive has just claimed, and that is left alone.
 */
import { textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
import type { Gate } from "./limit-queue.ts";
import { DATABASE_TIME_MS, databaseTimeMs } from "./time.ts";

const FINAL = "('COMPLETED', 'FAILED', 'CANCELLED')";

// Rows that another supervisor settles, or a redrive claims, at this moment are left to it. COALESCE
// hides columns from statistics: rows are found by their ids.
const SETTLE = {
  name: "admissions_settle",
  text: `WITH ended AS MATERIALIZED (
      SELECT a.run_id, a.tenant, a.key, a.admitted_at_ms + a.rate_ms AS until,
        r.status = 'FAILED' AND a.key IS NOT NULL AS again
      FROM admissions a JOIN runs r ON r.id = a.run_id
      WHERE a.run_id = ANY($1::text[]) AND COALESCE(a.state, '') <> 'over'
        AND COALESCE(r.status, '') IN ${FINAL}
        AND NOT COALESCE(a.claimed_until_ms > ${DATABASE_TIME_MS}
          AND a.claimed_attempt = r.attempt, false)
      FOR UPDATE OF a SKIP LOCKED),
    gone AS (DELETE FROM admissions
      WHERE run_id IN (SELECT run_id FROM ended WHERE NOT again AND until IS NULL)),
    kept AS (UPDATE admissions a SET state = 'over', kept_until_ms = e.until FROM ended e
      WHERE a.run_id = e.run_id AND (e.again OR e.until IS NOT NULL))
    SELECT tenant, coalesce(key, '') AS gate FROM ended`,
};
const LIVE = {
  name: "admissions_live",
  text: `SELECT run_id AS "runId", place FROM admissions WHERE state <> 'over' AND place > $1
    ORDER BY place LIMIT $2`,
};
const ANY_LIVE = {
  name: "admissions_any_live",
  text: "SELECT EXISTS (SELECT 1 FROM admissions WHERE state <> 'over') AS found",
};
/** Other versions of its workflow may count over a longer time than the run's own did. */
const FORGET = {
  name: "admissions_forget_starts",
  text: `WITH due AS MATERIALIZED (SELECT run_id, rate, admitted_at_ms FROM admissions
      WHERE kept_until_ms <= $2 ORDER BY kept_until_ms LIMIT $1
      FOR UPDATE SKIP LOCKED),
    longest AS MATERIALIZED (SELECT rate, (SELECT rate_ms FROM admissions o WHERE o.rate = d.rate
        ORDER BY rate_ms DESC LIMIT 1) AS ms FROM (SELECT DISTINCT rate FROM due) AS d),
    looked AS MATERIALIZED (SELECT due.run_id,
        CASE WHEN admitted_at_ms + ms > $2 THEN admitted_at_ms + ms END AS until,
        r.status = 'FAILED' AS again
      FROM due JOIN longest USING (rate) JOIN runs r ON r.id = due.run_id),
    gone AS (DELETE FROM admissions a USING looked l WHERE a.run_id = l.run_id AND l.until IS NULL
      AND a.state = 'over' AND NOT (l.again AND a.key IS NOT NULL) RETURNING a.run_id),
    kept AS (UPDATE admissions a SET kept_until_ms = l.until FROM looked l WHERE a.run_id = l.run_id
      AND NOT (l.until IS NULL AND a.state = 'over' AND NOT (l.again AND a.key IS NOT NULL)))
    SELECT run_id FROM looked`,
};

/** Settles those of these runs that have ended; the gates at which they had places. */
export function settleEnded(db: Queryable, runIds: readonly string[]): Promise<Gate[]> {
  type Row = Gate & { [column: string]: unknown };
  return runIds.length === 0 ? Promise.resolve([]) : db.query<Row>(SETTLE, [textArray(runIds)]);
}

/** Whether any limit counts or keeps a run. */
export async function anyAdmission(db: Queryable): Promise<boolean> {
  return (await db.query<{ found: boolean }>(ANY_LIVE, []))[0]?.found ?? false;
}

/**
 * Looks for ends that nobody has told of among the next `limit` rows behind `place`, and goes on as
 * long as a page has many; where the next look goes on, 0 at the end, and gates that were freed.
 */
export async function cleanAdmissions(
  db: Queryable,
  place: number,
  limit: number,
): Promise<{ gates: Gate[]; place: number }> {
  const gates: Gate[] = [];
  for (let after = place; ;) {
    const page = await db.query<{ runId: string; place: number }>(LIVE, [after, limit]);
    const freed = await settleEnded(
      db,
      page.map(({ runId }) => runId),
    );
    gates.push(...freed);
    after = page.length < limit ? 0 : (page.at(-1)?.place ?? 0);
    if (after === 0 || freed.length < limit / 10) {
      return { gates, place: after };
    }
  }
}

/** Forgets starts that no rate counts any more. */
export async function forgetStarts(db: Queryable, limit: number): Promise<void> {
  const nowMs = await databaseTimeMs(db);
  while ((await db.query(FORGET, [limit, nowMs])).length === limit);
}
