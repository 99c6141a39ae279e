/** Rows of runs that are redriven: who may, what became of the attempt before. */
import { rootOf } from "../keys.ts";
import { bigintArray, integerArray, textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
import { LETTER_LINES } from "./dead-letters.ts";
import { DATABASE_TIME_MS } from "./time.ts";

/** What the journal says about a redriven run's row. */
export interface RunRedriven {
  id: string;
  epoch: number;
  attempt: number;
  /** JSON text of its new input, null: as it was. */
  input: string | null;
  atMs: number;
  /** The nodes whose ends are undone. */
  nodes: readonly { id: string; index: number }[];
}

// The time keeps retention from taking the row away before the redrive is archived.
const CLAIM = {
  name: "runs_claim_redrive",
  text: `UPDATE runs SET epoch = epoch + 1, updated_at_ms = GREATEST(updated_at_ms,
      ${DATABASE_TIME_MS}), namespace = $3
    WHERE id = $1 AND status = 'FAILED' AND attempt = $2 RETURNING epoch`,
};
// By parents and not by ids: a child that nobody waited for has none, and goes its own way.
const OPEN_CHILDREN = {
  name: "runs_open_in_tree",
  text: `WITH RECURSIVE tree AS (
      SELECT id, status FROM runs WHERE id = $1
      UNION ALL SELECT below.* FROM tree CROSS JOIN LATERAL (
        SELECT id, status FROM runs WHERE parent_run_id = tree.id
        UNION ALL SELECT id, status FROM runs WHERE compensates = tree.id) AS below)
    SELECT id FROM tree WHERE id <> $1
      AND status IN ('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING') LIMIT $2`,
};
const KEEP = {
  name: "run_attempts_keep",
  text: `INSERT INTO run_attempts
      (run_id, attempt, status, output, error, started_at_ms, ended_at_ms)
    SELECT r.id, r.attempt, r.status, r.output, r.error, r.started_at_ms, r.ended_at_ms
    FROM runs r JOIN unnest($1::text[], $2::integer[]) AS u(id, attempt) ON u.id = r.id
    WHERE r.attempt < u.attempt ON CONFLICT DO NOTHING`,
};
const REDRIVE = {
  name: "runs_redrive",
  text: `UPDATE runs r SET status = 'RUNNING', attempt = u.attempt,
      epoch = GREATEST(r.epoch, u.epoch), input = COALESCE(u.input, r.input), output = NULL,
      error = NULL, started_at_ms = u.at, ended_at_ms = NULL, updated_at_ms = u.at
    FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::bigint[])
      AS u(id, attempt, epoch, input, at)
    WHERE r.id = u.id AND r.attempt < u.attempt`,
};
// What lies in a map runs again with the outermost of its maps, which its scope names: "7:2/12#5".
const SETTLE_LETTERS = {
  name: "dead_letters_redriven",
  text: `WITH RECURSIVE ${LETTER_LINES}
    UPDATE dead_letters d SET state = 'retried', settled_at_ms = u.at,
      outcome = 'run again in attempt ' || u.attempt || ' of its run'
    FROM line JOIN unnest($2::text[], $3::text[], $4::integer[], $5::bigint[], $6::text[])
      AS u(run_id, node, attempt, at, index)
    ON line.run_id = u.run_id AND CASE WHEN strpos(line.scope, '#') = 0 THEN line.node = u.node
      ELSE substring(line.scope FROM '^(?:[^#]*/)?([0-9]+)#') = u.index END
    WHERE d.id = line.letter`,
};

/**
 * Takes the next epoch of a failed run for a redrive, in the namespace in which it goes on; null: it is
 * not failed (any more).
 */
export async function claimRedrive(
  db: Queryable,
  id: string,
  attempt: number,
  namespace: string,
): Promise<number | null> {
  const rows = await db.query<{ epoch: string | number }>(CLAIM, [id, attempt, namespace]);
  return rows[0] === undefined ? null : Number(rows[0].epoch);
}

/**
 * Ids of unfinished runs under this root, compensations of children included, at most `limit`. One
 * that was started without being waited for is not under it.
 */
export async function openInTree(db: Queryable, id: string, limit: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>(OPEN_CHILDREN, [id, limit]);
  return rows.map((row) => row.id);
}

/**
 * Rows live again: the end of the attempt before is kept, dead letters of what runs again are
 * settled, those of its children too.
 */
export async function redriveRuns(tx: Queryable, runs: readonly RunRedriven[]): Promise<void> {
  if (runs.length === 0) {
    return;
  }
  const ids = textArray(runs.map((r) => r.id));
  const attempts = integerArray(runs.map((r) => r.attempt));
  await tx.query(KEEP, [ids, attempts]);
  await tx.query(REDRIVE, [
    ...[ids, attempts],
    bigintArray(runs.map((r) => r.epoch)),
    textArray(runs.map((r) => r.input)),
    bigintArray(runs.map((r) => r.atMs)),
  ]);
  const undone = runs.flatMap((run) => run.nodes.map((node) => ({ run, node })));
  await tx.query(SETTLE_LETTERS, [
    textArray([...new Set(runs.map((run) => rootOf(run.id)))]),
    textArray(undone.map(({ run }) => run.id)),
    textArray(undone.map(({ node }) => node.id)),
    integerArray(undone.map(({ run }) => run.attempt)),
    bigintArray(undone.map(({ run }) => run.atMs)),
    textArray(undone.map(({ node }) => String(node.index))),
  ]);
}
