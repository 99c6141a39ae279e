/** The registry of workers: who is there, what they serve, when they were last heard of. */
import { textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
import { DATABASE_TIME_MS, databaseTimeMs } from "./time.ts";

export interface WorkerRow {
  id: string;
  host: string;
  pid: number;
  queues: string[];
  concurrency: number;
  inFlight: number;
  startedAtMs: number;
  lastSeenAtMs: number;
}

const SILENT_MS = 15_000;

type Row = WorkerRow & { [column: string]: unknown };
const UPSERT = {
  name: "workers_upsert",
  text: `INSERT INTO workers (id, host, pid, queues, concurrency, in_flight, started_at_ms,
      last_seen_at_ms) VALUES ($1, $2, $3, $4::text[], $5, $6, $7, COALESCE($8, ${DATABASE_TIME_MS}))
    ON CONFLICT (id) DO UPDATE SET queues = excluded.queues, concurrency = excluded.concurrency,
      in_flight = excluded.in_flight, last_seen_at_ms = excluded.last_seen_at_ms`,
};
const LIST = {
  name: "workers_list",
  text: `SELECT id, host, pid, queues, concurrency, in_flight AS "inFlight",
      started_at_ms AS "startedAtMs", last_seen_at_ms AS "lastSeenAtMs"
    FROM workers ORDER BY id`,
};
const REMOVE_ONE = { name: "workers_remove", text: "DELETE FROM workers WHERE id = $1" };
const REMOVE_DEAD = {
  name: "workers_remove_dead",
  text: "DELETE FROM workers WHERE last_seen_at_ms < $1 RETURNING id",
};

/** Says that a worker is alive: now, by the database's clock, as that is everybody's; or when else. */
export async function reportWorker(
  db: Queryable,
  w: Omit<WorkerRow, "lastSeenAtMs"> & { lastSeenAtMs?: number },
): Promise<void> {
  const queues = textArray(w.queues);
  const values = [w.id, w.host, w.pid, queues, w.concurrency, w.inFlight, w.startedAtMs];
  await db.query(UPSERT, [...values, w.lastSeenAtMs ?? null]);
}

/** All workers. */
export async function listWorkers(db: Queryable): Promise<WorkerRow[]> {
  return db.query<Row>(LIST);
}

/**
 * Those that were heard of within the last 15 s: each says every 5 s that it lives. `nowMs`: by the
 * database's clock, as they are.
 */
export async function livingWorkers(db: Queryable, nowMs?: number): Promise<WorkerRow[]> {
  const now = nowMs ?? (await databaseTimeMs(db));
  return (await listWorkers(db)).filter((worker) => now - worker.lastSeenAtMs < SILENT_MS);
}

/** Takes a worker that stops off the list. */
export async function removeWorker(db: Queryable, id: string): Promise<void> {
  await db.query(REMOVE_ONE, [id]);
}

/** Takes workers not heard of since `sinceMs` off the list; returns their ids. */
export async function removeDeadWorkers(db: Queryable, sinceMs: number): Promise<string[]> {
  return (await db.query<{ id: string }>(REMOVE_DEAD, [sinceMs])).map((row) => row.id);
}
