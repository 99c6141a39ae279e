/**
 * Deleting what is over: whole trees of runs, so that no child is left without the root whose
 * tenant and bindings it has, and dead submissions. Whether a tree may go is decided by the
 * database in the transaction that deletes it (migrations/0018_retention.sql).
 */
import { textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
import type { RunCursor } from "./runs.ts";

/** What is old enough, by the times of ends. */
export interface RetentionRule {
  /** Trees all of whose runs ended before this time. */
  endedBeforeMs: number;
  /** Those with an open dead letter only if they ended before this one; 0: never. */
  lettersBeforeMs: number;
  /** Only trees whose root is of this workflow. */
  workflow?: string;
}

/** A root that ended, and the ids of all runs of its tree. */
export interface EndedTree {
  root: string;
  ids: string[];
}

const ROOTS = {
  name: "retention_roots",
  text: `SELECT id, created_at_ms AS "createdAtMs" FROM runs
    WHERE created_at_ms < $1 AND created_at_ms >= $2 AND (created_at_ms, id) > ($2, $3)
      AND ended_at_ms < $1 AND strpos(id, '~') = 0 AND ($4::text IS NULL OR workflow = $4)
    ORDER BY created_at_ms, id LIMIT $5`,
};
const TREES = {
  name: "retention_trees",
  text: "SELECT root, ids FROM gv_ended_trees($1::text[], $2, $3)",
};
const DELETE_TREES = {
  name: "retention_delete_trees",
  text: "SELECT gv_delete_trees($1::text[], $2, $3) AS id",
};
/** Letters of one transaction. */
const SUBMISSIONS_PAGE = 1000;
const DEAD_SUBMISSIONS = `FROM dead_letters WHERE kind = 'submission'
  AND created_at_ms < $1 AND (state <> 'open' OR created_at_ms < $2)`;
const COUNT_SUBMISSIONS = {
  name: "retention_count_submissions",
  text: `SELECT count(*)::integer AS count ${DEAD_SUBMISSIONS}`,
};
const DELETE_SUBMISSIONS = {
  name: "retention_delete_submissions",
  text: `WITH gone AS (DELETE FROM dead_letters WHERE id IN (
      SELECT id ${DEAD_SUBMISSIONS} ORDER BY created_at_ms, id LIMIT ${SUBMISSIONS_PAGE}) RETURNING 1)
    SELECT count(*)::integer AS count FROM gone`,
};

/** Roots that ended, oldest first, after a cursor; their trees may still have something open. */
export async function endedRoots(
  db: Queryable,
  rule: RetentionRule,
  after: RunCursor,
  limit: number,
): Promise<RunCursor[]> {
  const values = [rule.endedBeforeMs, after.createdAtMs, after.id, rule.workflow ?? null, limit];
  return db.query<RunCursor & { [column: string]: unknown }>(ROOTS, values);
}

/** Those of these roots whose whole trees are old enough. */
export async function endedTrees(
  db: Queryable,
  rule: RetentionRule,
  roots: readonly string[],
): Promise<EndedTree[]> {
  const values = [textArray(roots), rule.endedBeforeMs, rule.lettersBeforeMs];
  return db.query<EndedTree & { [column: string]: unknown }>(TREES, values);
}

/** Deletes those of these trees that are (still) old enough; returns the ids of their runs. */
export async function deleteTrees(
  db: Queryable,
  rule: RetentionRule,
  roots: readonly string[],
): Promise<string[]> {
  const values = [textArray(roots), rule.endedBeforeMs, rule.lettersBeforeMs];
  return (await db.query<{ id: string }>(DELETE_TREES, values)).map(({ id }) => id);
}

/** Deletes letters of submissions that are old enough, or only counts them; returns how many. */
export async function deleteSubmissionLetters(
  db: Queryable,
  rule: RetentionRule,
  isDryRun: boolean,
): Promise<number> {
  const statement = isDryRun ? COUNT_SUBMISSIONS : DELETE_SUBMISSIONS;
  const values = [rule.endedBeforeMs, rule.lettersBeforeMs];
  let total = 0;
  let count: number;
  do {
    count = (await db.query<{ count: number }>(statement, values))[0]?.count ?? 0;
    total += count;
  } while (!isDryRun && count === SUBMISSIONS_PAGE);
  return total;
}
