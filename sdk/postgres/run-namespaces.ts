/**
 * Namespaces that one process serves for one run (`gavotte run`), and when it was last heard of, by the
 * clock of the database: a process that was killed is found by it, whatever became of Redis.
 */
import { textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
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
const FORGET = {
  name: "run_namespaces_forget",
  text: "DELETE FROM run_namespaces WHERE namespace = $1",
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

/** Forgets a namespace; its queues are gone. */
export async function forgetNamespace(db: Queryable, namespace: string): Promise<void> {
  await db.query(FORGET, [namespace]);
}
