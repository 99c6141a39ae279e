/**
 * Namespaces that one process serves for one run (`gavotte run`), and when it was last heard of, by the
 * clock of the database: a process that was killed is found by it, whatever became of Redis.
 *
 * All runs of a namespace are of one tree: the run that was asked for, its children, also those that
 * nobody waits for, and what undoes them. While one of them is open the namespace stays written down.
 */
import { textArray } from "./arrays.ts";
import type { Database, Queryable } from "./connect.ts";
import { DATABASE_TIME_MS } from "./time.ts";

export interface RunNamespace {
  /** `ns:<id>:`. */
  namespace: string;
  runId: string;
  /** Queues that its worker reads, namespace included. */
  queues: readonly string[];
  /** Who serves it. */
  host: string;
  /** Where its process id means something. */
  machine: string;
  pid: number;
}

/** A namespace that is written down. */
export interface KeptNamespace extends RunNamespace {
  beatAtMs: number;
  /** Since it was last heard of. */
  silentMs: number;
}

/** An unfinished run of a tree. */
export interface OpenRun {
  id: string;
  workflow: string;
  partition: number;
  namespace: string;
  /** The run that it undoes. */
  compensates: string | null;
}

const KEEP = {
  name: "run_namespaces_keep",
  text: `INSERT INTO run_namespaces (namespace, run_id, queues, host, machine, pid, beat_at_ms)
    VALUES ($1, $2, $3::text[], $4, $5, $6, ${DATABASE_TIME_MS})`,
};
/** A beat that hangs must hold up neither the next one nor a connection. */
const BEAT_MS_MAX = 5000;
const BEAT = {
  name: "run_namespaces_beat",
  query_timeout: BEAT_MS_MAX,
  text: `UPDATE run_namespaces SET beat_at_ms = ${DATABASE_TIME_MS} WHERE namespace = $1`,
};
const LIST = {
  name: "run_namespaces_list",
  text: `SELECT namespace, run_id AS "runId", queues, host, machine, pid,
      beat_at_ms AS "beatAtMs", ${DATABASE_TIME_MS} - beat_at_ms AS "silentMs" FROM run_namespaces`,
};
const OPEN = "status IN ('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')";
/** Rows of the tree of root `$1`. */
const inTree = (columns: string, where: string): string =>
  `SELECT ${columns} FROM runs WHERE id = $1 AND ${where}
    UNION ALL SELECT ${columns} FROM runs
    WHERE strpos(id, '~') > 0 AND split_part(id, '~', 1) = $1 AND ${where}`;
const OPEN_RUN = "id, workflow, partition, namespace, compensates";
const OPEN_OF_TREE = {
  name: "run_namespaces_open",
  text: `${inTree(OPEN_RUN, `id > $3 AND ${OPEN}`)} ORDER BY id LIMIT $2`,
};
const OPEN_HERE = {
  name: "run_namespaces_open_here",
  text: `${inTree(OPEN_RUN, `namespace = $3 AND ${OPEN}`)} LIMIT $2`,
};
const LAST_END = {
  name: "run_namespaces_last_end",
  text: `SELECT max(ended_at_ms) AS "endedAtMs" FROM (${inTree("ended_at_ms", "true")}) AS tree`,
};
/** Rows of one statement. */
const LEAVE_PAGE = 1000;
// Field `parent` names the queue in which the token that waits goes on.
const LEAVE = {
  name: "run_namespaces_leave",
  text: `UPDATE runs SET namespace = '', parent = replace(parent, $2, '') WHERE id IN (
      SELECT id FROM (${inTree("id", "namespace = $2")}) AS tree LIMIT ${LEAVE_PAGE})
    RETURNING 1 AS one`,
};
const SERVED = {
  name: "run_namespaces_served",
  text: `SELECT namespace FROM run_namespaces WHERE namespace = ANY($1::text[]) FOR SHARE`,
};
const LOCK = {
  name: "run_namespaces_lock",
  text: "SELECT namespace FROM run_namespaces WHERE namespace = $1 FOR UPDATE",
};
const FORGET = {
  name: "run_namespaces_forget",
  text: `DELETE FROM run_namespaces WHERE namespace = $2 AND NOT EXISTS (${inTree("1", OPEN)})
    RETURNING 1 AS one`,
};

/** Writes a namespace down. */
export async function keepNamespace(db: Queryable, one: RunNamespace): Promise<void> {
  const { namespace, runId, queues, host, machine, pid } = one;
  await db.query(KEEP, [namespace, runId, textArray([...queues]), host, machine, pid]);
}

/** Its process lives. Throws when that cannot be written within 5 s of having a connection. */
export async function beatNamespace(db: Queryable, namespace: string): Promise<void> {
  await db.query(BEAT, [namespace]);
}

/** All that are written down. */
export async function listNamespaces(db: Queryable): Promise<KeptNamespace[]> {
  return db.query<KeptNamespace & { [column: string]: unknown }>(LIST);
}

/** Unfinished runs of the tree of a root, in whatever namespace, by id: `limit` behind `after`. */
export async function openOfTree(
  db: Queryable,
  root: string,
  limit: number,
  after = "",
): Promise<OpenRun[]> {
  const values = [root, limit, after];
  return db.query<OpenRun & { [column: string]: unknown }>(OPEN_OF_TREE, values);
}

/** Unfinished runs of the tree that are in the namespace, at most `limit`. */
export async function openInNamespace(
  db: Queryable,
  { runId, namespace }: Pick<RunNamespace, "runId" | "namespace">,
  limit: number,
): Promise<OpenRun[]> {
  const values = [runId, limit, namespace];
  return db.query<OpenRun & { [column: string]: unknown }>(OPEN_HERE, values);
}

/** When the last of a tree that has ended has; null: none has. */
export async function lastEndOfTree(db: Queryable, root: string): Promise<number | null> {
  const rows = await db.query<{ endedAtMs: number | null }>(LAST_END, [root]);
  return rows[0]?.endedAtMs ?? null;
}

/** Rows of a tree leave its namespace: all workers serve them from then on. How many. */
export async function leaveNamespace(
  db: Queryable,
  { runId, namespace }: Pick<RunNamespace, "runId" | "namespace">,
): Promise<number> {
  let count = 0;
  for (let page = LEAVE_PAGE; page === LEAVE_PAGE; count += page) {
    page = (await db.query(LEAVE, [runId, namespace])).length;
  }
  return count;
}

/** Those of these namespaces that are written down, whoever is about to forget one. */
export async function keptAmong(
  db: Queryable,
  namespaces: readonly string[],
): Promise<Set<string>> {
  const rows = await db.query<{ namespace: string }>(SERVED, [textArray([...namespaces])]);
  return new Set(rows.map((row) => row.namespace));
}

/**
 * Forgets a namespace whose queues are gone; false: a run of its tree is open. Whoever accepts a run of
 * it asks for it afterwards (`keptAmong`), so one of the two sees the other.
 */
export async function forgetNamespace(
  db: Database,
  { runId, namespace }: Pick<RunNamespace, "runId" | "namespace">,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    await tx.query(LOCK, [namespace]);
    // What was committed before the lock was had is seen by this statement.
    return (await tx.query(FORGET, [runId, namespace])).length > 0;
  });
}
