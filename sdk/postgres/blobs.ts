/** Large values in the archive: by content, and who refers to them. */
import type { Json } from "../../compiler/ir.ts";
import { blobOfValue, checkBlob } from "../blobs.ts";
import { textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
import { DATABASE_TIME_MS } from "./time.ts";

export interface ArchivedBlob {
  runId: string;
  sha256: string;
  /** JSON text; null: it was not found, the reference is archived without it. */
  text: string | null;
}

const INSERT = {
  name: "blobs_insert",
  text: `INSERT INTO blobs (sha256, data, created_at_ms)
    SELECT sha256, data, coalesce($3::bigint, ${DATABASE_TIME_MS})
    FROM unnest($1::text[], $2::text[]) AS b(sha256, data)
    ORDER BY sha256 ON CONFLICT (sha256) DO UPDATE SET created_at_ms = EXCLUDED.created_at_ms`,
};
const REFER = {
  name: "blobs_refer",
  text: `INSERT INTO run_blobs (run_id, sha256)
    SELECT r.id, b.sha256 FROM unnest($1::text[], $2::text[]) AS u(run_id, sha256)
      JOIN runs r ON r.id = u.run_id JOIN blobs b ON b.sha256 = u.sha256
    ON CONFLICT DO NOTHING`,
};
const READ = {
  name: "blobs_read",
  text: "SELECT sha256, data FROM blobs WHERE sha256 = ANY($1::text[])",
};
const OF_RUN = {
  name: "blobs_of_run",
  text: "SELECT sha256 FROM run_blobs WHERE run_id = $1 ORDER BY sha256",
};
// Both locks and looks at the age again: what is being archived just now has been written anew.
const COLLECT = {
  name: "blobs_collect",
  text: `WITH page AS (
      SELECT sha256, created_at_ms FROM blobs
      WHERE created_at_ms < $1 AND created_at_ms >= $2 AND (created_at_ms, sha256) > ($2, $3)
      ORDER BY created_at_ms, sha256 LIMIT $4),
    idle AS (
      SELECT b.sha256 FROM page JOIN blobs b USING (sha256)
      WHERE b.created_at_ms < $1 AND NOT EXISTS (SELECT FROM run_blobs r WHERE r.sha256 = b.sha256)
      FOR UPDATE OF b SKIP LOCKED),
    gone AS (DELETE FROM blobs b USING idle WHERE b.sha256 = idle.sha256)
    SELECT sha256, created_at_ms AS "createdAtMs" FROM page ORDER BY created_at_ms, sha256`,
};

/**
 * Adds blobs and who refers to them. Repeating it changes nothing. They are of now, by the database's
 * clock, as the age is by which they are collected; a test may say otherwise.
 */
export async function insertBlobs(
  tx: Queryable,
  blobs: readonly ArchivedBlob[],
  atMs: number | null = null,
): Promise<void> {
  if (blobs.length === 0) {
    return;
  }
  const texts = new Map(blobs.flatMap((b) => (b.text === null ? [] : [[b.sha256, b.text]])));
  if (texts.size > 0) {
    await tx.query(INSERT, [textArray([...texts.keys()]), textArray([...texts.values()]), atMs]);
  }
  await tx.query(REFER, [
    textArray(blobs.map((b) => b.runId)),
    textArray(blobs.map((b) => b.sha256)),
  ]);
}

/** JSON texts by hash; what is not archived is absent. */
export async function readBlobs(
  db: Queryable,
  hashes: readonly string[],
): Promise<Map<string, string>> {
  if (hashes.length === 0) {
    return new Map();
  }
  const rows = await db.query<{ sha256: string; data: string }>(READ, [textArray(hashes)]);
  return new Map(rows.map((row) => [row.sha256, row.data]));
}

/**
 * Puts large values in the place of their references, as far as they are archived: `member` of each of
 * `holders`. Throws BlobError for one that is not what its hash says.
 */
export async function resolveValues<M extends string>(
  db: Queryable,
  holders: readonly { [member in M]?: Json | undefined }[],
  member: M,
): Promise<void> {
  const large = holders.flatMap((holder) => {
    const ref = blobOfValue(holder[member]);
    return ref === null ? [] : [{ holder, ref }];
  });
  const texts = await readBlobs(
    db,
    large.map(({ ref }) => ref.sha256),
  );
  for (const { holder, ref } of large) {
    const text = texts.get(ref.sha256);
    if (text !== undefined) {
      holder[member] = JSON.parse(checkBlob(ref, text)) as Json;
    }
  }
}

/** Hashes of everything that a run refers to. */
export async function blobsOfRun(db: Queryable, runId: string): Promise<string[]> {
  const rows = await db.query<{ sha256: string }>(OF_RUN, [runId]);
  return rows.map((row) => row.sha256);
}

/** Where a page of blobs by age ends. */
export interface BlobCursor {
  createdAtMs: number;
  sha256: string;
}

/** Before the oldest blob. */
export const FIRST_BLOB: BlobCursor = { createdAtMs: 0, sha256: "" };

/**
 * Looks at a page of blobs that were last written before `beforeMs`, oldest first, and removes those
 * that no run refers to; returns where the next page begins, null after the last. The age keeps one
 * that is being archived from being taken from under its reference.
 */
export async function collectBlobs(
  db: Queryable,
  beforeMs: number,
  after: BlobCursor,
  limit: number,
): Promise<BlobCursor | null> {
  const values = [beforeMs, after.createdAtMs, after.sha256, limit];
  const page = await db.query<BlobCursor & { [column: string]: unknown }>(COLLECT, values);
  return page.length < limit ? null : (page.at(-1) ?? null);
}
