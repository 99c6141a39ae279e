/**
 * Looks at unfinished runs, a page at a time, oldest first.
 *
 * Each reads its page and not what stands beside it: runs that have ended, runs of other statuses,
 * and those that are set aside - asleep, or held by a limit - of which there may be a million
 * (migrations/0022_unfinished_runs.sql). A page of several statuses is one of each, merged. What the
 * journal says is asked run by run, by expressions that no plan can turn into a join: one that reads
 * the journal from end to end is never worth it, and looks cheap to a planner that expects to find
 * nothing.
 */
import type { RunStatus } from "../status.ts";
import { textArray } from "./arrays.ts";
import { OPEN_BELOW } from "./children.ts";
import type { Queryable } from "./connect.ts";
import { FIRST_RUN, RUN_COLUMNS, type RunCursor, type RunRow } from "./runs.ts";
import { DATABASE_TIME_MS } from "./time.ts";

type Row = RunRow & { [column: string]: unknown };
const OPEN = ["QUEUED", "RUNNING", "PAUSED", "FINISHING"] as const;
const OPEN_LIST = "('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')";
/** What `runs_awake_idx` holds, and what `runs_set_aside_idx` does. */
const AWAKE = `status IN ${OPEN_LIST} AND asleep_since_ms IS NULL AND NOT held`;
const SET_ASIDE = `status IN ${OPEN_LIST} AND (asleep_since_ms IS NOT NULL OR held)`;

/** `$1` to `$3`: after which run, and how many. */
const page = (statuses: readonly RunStatus[], columns: string, where: string): string => {
  const one = (status: RunStatus): string => `(SELECT ${columns} FROM runs r
      WHERE status = '${status}' AND ${AWAKE} AND created_at_ms >= $1
        AND (created_at_ms, id) > ($1, $2) AND ${where}
      ORDER BY created_at_ms, id LIMIT $3)`;
  const all = statuses.map(one).join("\n    UNION ALL ");
  return `SELECT * FROM (${all}) AS page ORDER BY "createdAtMs", id LIMIT $3`;
};
/** Nothing archived of it is as new as that: its last segment says so. */
const isQuietSince = (time: string): string => `updated_at_ms < ${time} AND COALESCE((
        SELECT t_to FROM journal j WHERE j.run_id = r.id ORDER BY seq_from DESC LIMIT 1), 0) < ${time}`;
const BEGUN_MS = `(SELECT t_from FROM journal j WHERE j.run_id = r.id ORDER BY seq_from LIMIT 1)`;

const QUEUED = {
  name: "runs_queued",
  text: page(
    ["QUEUED"],
    RUN_COLUMNS,
    `created_at_ms < $4 AND ${BEGUN_MS} IS NULL
        AND (compensates IS NULL OR NOT EXISTS (${OPEN_BELOW}))`,
  ),
};
const CORRECT_BEGUN = {
  name: "runs_correct_begun",
  text: `UPDATE runs r SET status = 'RUNNING', started_at_ms = ${BEGUN_MS}
    WHERE status = 'QUEUED' AND ${AWAKE} AND partition = $1 AND ${BEGUN_MS} IS NOT NULL`,
};
const QUIET = {
  name: "runs_quiet",
  text: page(["RUNNING", "FINISHING"], RUN_COLUMNS, isQuietSince("$4")),
};
const IDLE = {
  name: "runs_idle",
  text: page(
    ["RUNNING", "PAUSED"],
    'id, created_at_ms AS "createdAtMs"',
    `partition = $5 AND NOT suspect AND ${isQuietSince("$4")}`,
  ),
};
const UNFINISHED = {
  name: "runs_unfinished",
  text: page(OPEN, RUN_COLUMNS, "partition = $4"),
};
// The column is hidden from the index by workflow, which has those that have ended.
const OF_WORKFLOW = (status: RunStatus) => ({
  name: `runs_of_workflow_${status}`,
  text: page([status], RUN_COLUMNS, `COALESCE(workflow, '') = $4 AND ($5 = '*' OR version = $5)`),
});
/** A run that falls due soon may be on its way into Redis, for which its IR was published. */
const WAKING_MS = 3_600_000;
const USED_HASHES = {
  name: "runs_used_hashes",
  text: `SELECT DISTINCT used.hash FROM (
      SELECT ir_hash, bindings FROM runs WHERE ${AWAKE}
      UNION ALL SELECT ir_hash, bindings FROM runs WHERE asleep_since_ms IS NOT NULL
        AND wakes_at_ms <= (SELECT ${DATABASE_TIME_MS}) + ${WAKING_MS}) AS r
    CROSS JOIN LATERAL (SELECT r.ir_hash UNION ALL
      SELECT value FROM json_each_text(COALESCE(r.bindings, '{}')::json)) AS used(hash)
    WHERE used.hash = ANY($1::text[])`,
};

/** Runs in an unfinished status, newest first; `where` and `limit` as SQL. */
export function newestUnfinished(status: string, where: string, limit: string): string {
  const part = (which: string): string => `(SELECT ${RUN_COLUMNS} FROM runs
      WHERE status = ${status} AND ${which} AND ${where}
      ORDER BY created_at_ms DESC, id DESC LIMIT ${limit})`;
  return `SELECT * FROM (${part(AWAKE)} UNION ALL ${part(SET_ASIDE)}) AS page
    ORDER BY "createdAtMs" DESC, id DESC LIMIT ${limit}`;
}

/**
 * Runs that may start, accepted before `beforeMs`, of which nothing has been heard, oldest first, after
 * a cursor.
 */
export async function queuedRuns(
  db: Queryable,
  beforeMs: number,
  limit: number,
  after: RunCursor = FIRST_RUN,
): Promise<RunRow[]> {
  return db.query<Row>(QUEUED, [after.createdAtMs, after.id, limit, beforeMs]);
}

/** Rows of this partition that say QUEUED although the journal beside them has a beginning. */
export async function correctBegun(db: Queryable, partition: number): Promise<void> {
  await db.query(CORRECT_BEGUN, [partition]);
}

/**
 * Running runs, awake, of which the journal has said nothing since `sinceMs`, oldest first, after a
 * cursor.
 */
export async function quietRuns(
  db: Queryable,
  sinceMs: number,
  limit: number,
  after: RunCursor = FIRST_RUN,
): Promise<RunRow[]> {
  return db.query<Row>(QUIET, [after.createdAtMs, after.id, limit, sinceMs]);
}

/** Running and paused runs of a partition without news since `sinceMs`, oldest first, after a cursor. */
export async function idleRuns(
  db: Queryable,
  partition: number,
  sinceMs: number,
  after: RunCursor,
  limit: number,
): Promise<RunCursor[]> {
  const values = [after.createdAtMs, after.id, limit, sinceMs, partition];
  return db.query<RunCursor & { [column: string]: unknown }>(IDLE, values);
}

/** Unfinished runs of a partition that are neither asleep nor held, oldest first, after a cursor. */
export async function unfinishedRuns(
  db: Queryable,
  partition: number,
  after: RunCursor,
  limit: number,
): Promise<RunRow[]> {
  return db.query<Row>(UNFINISHED, [after.createdAtMs, after.id, limit, partition]);
}

/**
 * Runs of a workflow in an unfinished status, awake, oldest first, after a cursor; version `*` is any.
 */
export async function runsOfWorkflow(
  db: Queryable,
  of: { name: string; version: string; status: RunStatus; after: RunCursor; limit: number },
): Promise<RunRow[]> {
  const { name, version, status, after, limit } = of;
  const values = [after.createdAtMs, after.id, limit, name, version];
  return db.query<Row>(OF_WORKFLOW(status), values);
}

/**
 * Those of `hashes` that a run uses which is in Redis or on its way there, itself or for its children.
 * Who wakes another, or lets it in, publishes what it uses.
 */
export async function usedHashes(db: Queryable, hashes: readonly string[]): Promise<Set<string>> {
  const rows = await db.query<{ hash: string }>(USED_HASHES, [textArray(hashes)]);
  return new Set(rows.map((row) => row.hash));
}
