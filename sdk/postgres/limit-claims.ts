/** Places that redrives take: the run has ended, and is to need its place again. */
import type { Queryable } from "./connect.ts";
import { CLAIMED, LOCK, LOCK_CLASS, OPEN, TAKEN } from "./limit-counts.ts";
import { DATABASE_TIME_MS, databaseTimeMs } from "./time.ts";

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
