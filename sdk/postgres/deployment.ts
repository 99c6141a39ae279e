/** Facts fixed when a deployment is created, and how far each partition is archived. */
import type { Queryable } from "./connect.ts";

export interface Deployment {
  id: string;
  /** Number of partitions, a power of two. */
  partitions: number;
  /** Version of the layout of keys in Redis. */
  layout: number;
}

/** Position of the archive in a partition's journal. */
export interface Cursor {
  partition: number;
  epoch: number;
  seq: number;
  nonce: string;
  /** Id of the last archived stream entry, "0-0" before the first. */
  streamId: string;
}

const CREATE = {
  name: "deployment_create",
  text: `INSERT INTO deployment (id, partitions, layout) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING`,
};
const READ = { name: "deployment_read", text: "SELECT id, partitions, layout FROM deployment" };

/** Records `wanted` unless the database has a deployment already; returns the one it has. */
export async function ensureDeployment(db: Queryable, wanted: Deployment): Promise<Deployment> {
  const known = await readDeployment(db);
  if (known !== null) {
    return known;
  }
  await db.query(CREATE, [wanted.id, wanted.partitions, wanted.layout]);
  return (await readDeployment(db)) ?? wanted;
}

/** The deployment of this database, null before its first supervisor started. */
export async function readDeployment(db: Queryable): Promise<Deployment | null> {
  return (await db.query<Deployment & { [column: string]: unknown }>(READ))[0] ?? null;
}

const CURSOR_COLUMNS = `partition, epoch, seq, nonce, stream_id AS "streamId"`;
const CURSOR_CREATE = {
  name: "cursor_create",
  text: `INSERT INTO cursors (partition, epoch, seq, nonce, stream_id)
    VALUES ($1, 1, 0, $2, '0-0') ON CONFLICT DO NOTHING`,
};
const CURSOR_READ = {
  name: "cursor_read",
  text: `SELECT ${CURSOR_COLUMNS} FROM cursors WHERE partition = $1`,
};
const CURSOR_ADVANCE = {
  name: "cursor_advance",
  text: `UPDATE cursors SET seq = $4, nonce = $5, stream_id = $6
    WHERE partition = $1 AND epoch = $2 AND seq = $3 RETURNING seq`,
};
/** More records than a server can have held beyond the cursor. */
const LOST_MAX = 1_000_000_000;
const CURSOR_EPOCH = {
  name: "cursor_epoch",
  text: `UPDATE cursors SET epoch = epoch + 1, stream_id = '0-0', seq = seq + ${LOST_MAX}
    WHERE partition = $1 AND epoch = $2 RETURNING ${CURSOR_COLUMNS}`,
};

const CURSOR_FENCE = {
  name: "cursor_fence",
  text: `UPDATE cursors SET epoch = epoch + 1
    WHERE partition = $1 AND epoch = $2 RETURNING ${CURSOR_COLUMNS}`,
};

type CursorRow = Cursor & { [column: string]: unknown };

/** The partition's cursor; `nonce` begins the chain if there is none yet. */
export async function ensureCursor(db: Queryable, p: number, nonce: string): Promise<Cursor> {
  const known = await readCursor(db, p);
  if (known !== null) {
    return known;
  }
  await db.query(CURSOR_CREATE, [p, nonce]);
  return (await readCursor(db, p)) as Cursor;
}

/** The partition's cursor, null if the partition was never certified. */
export async function readCursor(db: Queryable, partition: number): Promise<Cursor | null> {
  return (await db.query<CursorRow>(CURSOR_READ, [partition]))[0] ?? null;
}

/** Moves the cursor from `from` to `to`; false if it stands elsewhere: roll back. */
export async function advanceCursor(tx: Queryable, from: Cursor, to: Cursor): Promise<boolean> {
  const values = [from.partition, from.epoch, from.seq, to.seq, to.nonce, to.streamId];
  return (await tx.query(CURSOR_ADVANCE, values)).length === 1;
}

/**
 * Raises the epoch from `epoch`, the stream to be read anew; null if somebody else did. Records that
 * were lost may have been told: theirs are no numbers for others, so the count goes on far behind.
 */
export async function raiseEpoch(
  db: Queryable,
  partition: number,
  epoch: number,
): Promise<Cursor | null> {
  return (await db.query<CursorRow>(CURSOR_EPOCH, [partition, epoch]))[0] ?? null;
}

/**
 * Raises the epoch from `epoch` without moving the cursor: what an archiver has read before cannot
 * be committed any more. Returns the cursor as it then stands; null if somebody else raised it.
 */
export async function fenceCursor(
  db: Queryable,
  partition: number,
  epoch: number,
): Promise<Cursor | null> {
  return (await db.query<CursorRow>(CURSOR_FENCE, [partition, epoch]))[0] ?? null;
}
