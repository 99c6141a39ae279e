/** Tokens whose attempts are used up, and submissions that could not be accepted. */
import { bigintArray, integerArray, portions, textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
import { DATABASE_TIME_MS } from "./time.ts";

export interface NewDeadLetter {
  /** The same for the same event, so that a repeated insert changes nothing. */
  id: string;
  kind: "token" | "submission";
  runId: string | null;
  node: string | null;
  scope: string | null;
  attempts: number | null;
  /** JSON text of an error. */
  error: string;
  /** The submission as it came; null for a token. */
  payload: string | null;
  createdAtMs: number;
}

export type DeadLetterState = "open" | "retried" | "dropped";

export interface DeadLetter extends NewDeadLetter {
  state: DeadLetterState;
  /** What became of it, and when; null while it is open. */
  outcome: string | null;
  settledAtMs: number | null;
}

/** A letter without its payload, which may be some megabytes. */
export type ListedLetter = Omit<DeadLetter, "payload">;

export interface DeadLetterFilter {
  state?: DeadLetterState;
  runId?: string;
  workflow?: string;
  node?: string;
  /** Of its error. */
  code?: string;
  /** By the database's clock. */
  olderThanMs?: number;
  limit: number;
}

type Row = DeadLetter & { [column: string]: unknown };
const COLUMNS = `id, kind, run_id AS "runId", node, scope, attempts, error, state,
  created_at_ms AS "createdAtMs", outcome, settled_at_ms AS "settledAtMs"`;
const INSERT = {
  name: "dead_letters_insert",
  text: `INSERT INTO dead_letters (id, kind, run_id, node, scope, attempts, error, payload,
      created_at_ms)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
      $6::integer[], $7::text[], $8::text[], $9::bigint[])
    ON CONFLICT DO NOTHING`,
};
const LIST = {
  name: "dead_letters_list",
  text: `SELECT ${COLUMNS} FROM dead_letters d WHERE ($1::text IS NULL OR state = $1)
      AND ($2::text IS NULL OR run_id = $2)
      AND ($3::bigint IS NULL OR created_at_ms < ${DATABASE_TIME_MS} - $3)
      AND ($5::text IS NULL OR node = $5)
      AND ($6::text IS NULL OR gv_json(error) ->> 'code' = $6)
      AND ($7::text IS NULL OR
        EXISTS (SELECT 1 FROM runs r WHERE r.id = d.run_id AND r.workflow = $7))
    ORDER BY created_at_ms DESC, id DESC LIMIT $4`,
};
const READ = {
  name: "dead_letters_read",
  text: `SELECT ${COLUMNS}, payload FROM dead_letters WHERE id = $1`,
};
const SETTLE = {
  name: "dead_letters_settle",
  text: `UPDATE dead_letters SET state = $2, outcome = $3, settled_at_ms = $4
    WHERE id = $1 AND state = 'open' RETURNING id`,
};

/**
 * Open letters of the trees of these roots ($1), with every run and node on the way up from them:
 * that of the letter, the one that waits for its run, and so on. Who has no parent ends the line.
 */
export const LETTER_LINES = `line(letter, run_id, node, scope) AS (
    SELECT id, run_id, node, scope FROM dead_letters
    WHERE state = 'open' AND split_part(run_id, '~', 1) = ANY($1::text[])
    UNION ALL
    SELECT line.letter, r.parent_run_id, r.parent_node,
      split_part(split_part(r.parent, '|', 1), '!', 2)
    FROM line JOIN runs r ON r.id = line.run_id WHERE r.parent_run_id IS NOT NULL)`;
const SETTLE_WELL = {
  name: "dead_letters_settle_well",
  text: `WITH RECURSIVE ${LETTER_LINES}
    UPDATE dead_letters d SET state = 'retried', outcome = 'its run went on, and completed',
      settled_at_ms = GREATEST(d.created_at_ms, top.ended_at_ms)
    FROM line JOIN runs top ON top.id = line.run_id
    WHERE d.id = line.letter AND top.parent_run_id IS NULL AND top.status = 'COMPLETED'`,
};

/** Adds letters; those already there stay as they are. */
export async function insertDeadLetters(
  db: Queryable,
  letters: readonly NewDeadLetter[],
): Promise<void> {
  for (const part of portions(letters, ({ payload }) => payload?.length ?? 0)) {
    await db.query(INSERT, [
      textArray(part.map((l) => l.id)),
      textArray(part.map((l) => l.kind)),
      textArray(part.map((l) => l.runId)),
      textArray(part.map((l) => l.node)),
      textArray(part.map((l) => l.scope)),
      integerArray(part.map((l) => l.attempts)),
      textArray(part.map((l) => l.error)),
      textArray(part.map((l) => l.payload)),
      bigintArray(part.map((l) => l.createdAtMs)),
    ]);
  }
}

/** Letters, newest first. */
export async function listDeadLetters(
  db: Queryable,
  filter: DeadLetterFilter,
): Promise<ListedLetter[]> {
  const { state = null, runId = null, olderThanMs = null, limit } = filter;
  const { node = null, code = null, workflow = null } = filter;
  return db.query<ListedLetter & { [column: string]: unknown }>(LIST, [
    state,
    runId,
    olderThanMs,
    limit,
    node,
    code,
    workflow,
  ]);
}

/** One letter, null if there is none. */
export async function readDeadLetter(db: Queryable, id: string): Promise<DeadLetter | null> {
  return (await db.query<Row>(READ, [id]))[0] ?? null;
}

/** Marks an open letter as retried or dropped, and why; false if it is not open. */
export async function settleDeadLetter(
  db: Queryable,
  id: string,
  state: "retried" | "dropped",
  outcome: string,
  atMs: number,
): Promise<boolean> {
  return (await db.query(SETTLE, [id, state, outcome, atMs])).length === 1;
}

/**
 * Settles the open letters in the trees of these roots that lie below a run which has completed and
 * has no parent: whatever failed there was tolerated, tried again or handled on the way up.
 */
export async function settleLettersOfTrees(tx: Queryable, roots: readonly string[]): Promise<void> {
  await (roots.length === 0 ? undefined : tx.query(SETTLE_WELL, [textArray(roots)]));
}
