/**
 * Rows of children: runs that a node of another run has started. Their rows are not submitted, they
 * are written by the archiver from what the journal says, in the transaction that archives it.
 */
import type { Priority } from "../../compiler/ir.ts";
import type { RunStatus } from "../status.ts";
import { bigintArray, integerArray, textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";

export interface NewChild {
  id: string;
  irHash: string;
  partition: number;
  namespace: string;
  priority: Priority;
  /** JSON text. */
  input: string;
  /** How many runs stand above it. */
  depth: number;
  /** Who waits for it: run, node id, and field `up` of the hot hash; null: nobody. */
  parent: { runId: string; node: string; up: string } | null;
  startedAtMs: number;
}

export interface OpenChild {
  id: string;
  parentRunId: string | null;
  /** Its parent has ended, as far as is archived. */
  isParentOver: boolean;
  /** Its parent is paused, as far as is archived. */
  isParentPaused: boolean;
  /** Of one that is asleep the token that it belongs to, else null. */
  up: string | null;
  /** Why one that is asleep is paused, as field `ps` of its hash. */
  causes: string | null;
}

const FINAL = "('COMPLETED', 'FAILED', 'CANCELLED')";
const OPEN = "('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')";
// Whether it is asleep says one column alone: causes may be left from a sleep before, or not be noted.
const ASLEEP = `COALESCE(p.status = 'PAUSED', false) AS "isParentPaused",
  CASE WHEN c.asleep_since_ms IS NOT NULL THEN COALESCE(c.sleep_causes, '') END AS causes,
  CASE WHEN c.asleep_since_ms IS NOT NULL THEN c.parent END AS "up"`;
/** Tenant and bindings are those of the root, name and version those of the definition. */
const INSERT = {
  name: "children_insert",
  text: `INSERT INTO runs (id, tenant, workflow, version, ir_hash, partition, namespace, priority,
      input, depth, parent_run_id, parent_node, parent, bindings, status, created_at_ms,
      started_at_ms, updated_at_ms)
    SELECT u.id, COALESCE(root.tenant, ''), d.name, d.version, u.hash, u.partition, u.namespace,
      u.priority, u.input, u.depth, u.parent_run, u.parent_node, u.up, root.bindings, 'RUNNING',
      u.at, u.at, u.at
    FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[],
      $7::integer[], $8::text[], $9::text[], $10::text[], $11::bigint[])
      AS u(id, hash, partition, namespace, priority, input, depth, parent_run, parent_node, up, at)
    JOIN definitions d ON d.hash = u.hash
    LEFT JOIN runs root ON root.id = split_part(u.id, '~', 1)
    ON CONFLICT DO NOTHING`,
};
const OPEN_OF = {
  name: "children_open_of",
  text: `SELECT c.id, c.parent_run_id AS "parentRunId",
      p.status IN ${FINAL} AS "isParentOver", ${ASLEEP} FROM runs c
    JOIN runs p ON p.id = c.parent_run_id
    WHERE c.parent_run_id = ANY($1::text[]) AND c.status IN ${OPEN} AND c.id > $2
    ORDER BY c.id LIMIT $3`,
};
const OPEN_PAGE = {
  name: "children_open_page",
  text: `SELECT c.id, c.parent_run_id AS "parentRunId",
      COALESCE(p.status IN ${FINAL}, true) AS "isParentOver", ${ASLEEP} FROM runs c
    LEFT JOIN runs p ON p.id = c.parent_run_id
    WHERE c.parent_run_id IS NOT NULL AND c.status IN ${OPEN} AND c.partition = $1 AND c.id > $2
    ORDER BY c.id LIMIT $3`,
};
/**
 * What has to end before run `r`, a compensation, starts: runs below the one that it undoes, and what
 * undoes these.
 */
export const OPEN_BELOW = `WITH RECURSIVE below(id) AS (
    SELECT id FROM runs WHERE parent_run_id = r.compensates
    UNION ALL
    SELECT c.id FROM below JOIN runs c ON c.parent_run_id = below.id)
  SELECT x.id, x.status FROM below JOIN runs x ON x.id = below.id WHERE x.status IN ${OPEN}
  UNION ALL
  SELECT x.id, x.status FROM below JOIN runs x ON x.compensates = below.id WHERE x.status IN ${OPEN}`;
const MAY_UNDO = {
  name: "runs_may_undo",
  text: `SELECT id, NOT EXISTS (${OPEN_BELOW}) AS "isFree" FROM runs r
    WHERE id = ANY($1::text[]) AND status = 'QUEUED'`,
};
const UNDONE_BEFORE = {
  name: "runs_undone_before",
  text: `SELECT open.id, open.status FROM runs r, LATERAL (${OPEN_BELOW}) AS open
    WHERE r.id = $1 LIMIT $2`,
};
const COMPENSATION = {
  name: "runs_compensation",
  text: "SELECT id, status FROM runs WHERE compensates = $1",
};

/** Inserts rows of children that have started; those already there stay as they are. */
export async function insertChildren(tx: Queryable, all: readonly NewChild[]): Promise<void> {
  if (all.length === 0) {
    return;
  }
  await tx.query(INSERT, [
    textArray(all.map((c) => c.id)),
    textArray(all.map((c) => c.irHash)),
    integerArray(all.map((c) => c.partition)),
    textArray(all.map((c) => c.namespace)),
    textArray(all.map((c) => c.priority)),
    textArray(all.map((c) => c.input)),
    integerArray(all.map((c) => c.depth)),
    textArray(all.map((c) => c.parent?.runId ?? null)),
    textArray(all.map((c) => c.parent?.node ?? null)),
    textArray(all.map((c) => c.parent?.up ?? null)),
    bigintArray(all.map((c) => c.startedAtMs)),
  ]);
}

/** Unfinished children of these runs by id, after `afterId`. */
export async function openChildrenOf(
  db: Queryable,
  parents: readonly string[],
  afterId: string,
  limit: number,
): Promise<OpenChild[]> {
  return parents.length === 0
    ? []
    : db.query<OpenChild & { [column: string]: unknown }>(OPEN_OF, [
        textArray(parents),
        afterId,
        limit,
      ]);
}

/** Unfinished children in a partition by id, after `afterId` ("" for the first page). */
export async function openChildren(
  db: Queryable,
  partition: number,
  afterId: string,
  limit: number,
): Promise<OpenChild[]> {
  const values = [partition, afterId, limit];
  return db.query<OpenChild & { [column: string]: unknown }>(OPEN_PAGE, values);
}

/** The run that undoes a run; null if there is none. */
export async function compensationOf(
  db: Queryable,
  runId: string,
): Promise<{ id: string; status: RunStatus } | null> {
  return (await db.query<{ id: string; status: RunStatus }>(COMPENSATION, [runId]))[0] ?? null;
}

/** Of these compensations those that have not started, and whether they may. */
export async function whichMayUndo(
  db: Queryable,
  ids: readonly string[],
): Promise<{ id: string; isFree: boolean }[]> {
  return db.query<{ id: string; isFree: boolean }>(MAY_UNDO, [textArray(ids)]);
}

/** Runs that a compensation waits for, at most `limit`. */
export async function undoneBefore(
  db: Queryable,
  id: string,
  limit: number,
): Promise<{ id: string; status: RunStatus }[]> {
  return db.query<{ id: string; status: RunStatus }>(UNDONE_BEFORE, [id, limit]);
}
