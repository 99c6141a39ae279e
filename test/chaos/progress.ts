/** How far the runs are. One that failed and is to be redriven has not ended. */
import type { Database } from "../../sdk/postgres/index.ts";
import { REDRIVEN } from "./scenarios.ts";

const ENDED = `status IN ('COMPLETED', 'FAILED', 'CANCELLED')
  AND NOT (status = 'FAILED' AND workflow = ANY($1::text[]))`;
const SUBMITTED = {
  name: "chaos_ended",
  text: `SELECT count(*)::int AS n FROM runs WHERE ${ENDED} AND idempotency_key IS NOT NULL`,
};
const OPEN = {
  name: "chaos_open",
  text: `SELECT id, status FROM runs WHERE NOT (${ENDED})`,
};

/** How many of the runs that were submitted have ended. */
export async function endedCount(db: Database): Promise<number> {
  return (await db.query<{ n: number }>(SUBMITTED, [REDRIVEN]))[0]?.n ?? 0;
}

/** All that have not ended, children and compensations too. */
export function openRuns(db: Database): Promise<{ id: string; status: string }[]> {
  return db.query(OPEN, [REDRIVEN]);
}
