/**
 * Large outputs on their way into the archive and back: read from the run in Redis, or, where that
 * is gone, from Postgres.
 */
import type { Redis } from "ioredis";
import type { Json } from "../compiler/ir.ts";
import {
  blobOfValue,
  blobRefsIn,
  checkBlob,
  mapGiven,
  parseBlobText,
  partitionKeys,
  unlessForeign,
} from "../sdk/internal.ts";
import type { BlobRef, ScriptRunner, Transition } from "../sdk/internal.ts";
import {
  blobsOfRun,
  portions,
  readBlobs,
  type ArchivedBlob,
  type Database,
} from "../sdk/postgres/index.ts";
import type { Write } from "./guarded.ts";

export interface BlobUse {
  runId: string;
  ref: BlobRef;
}

export interface BlobStores {
  redis: Redis;
  db: Database;
}

const NO_ITEMS: readonly Json[] = [];

/**
 * What a transition refers to: outputs, the errors of a map, its elements and what its body
 * sees of outside; what was given to the run, to its children, and to what waits.
 */
export function blobsIn(t: Transition): BlobUse[] {
  const { r: runId, o, errs, vars, items = NO_ITEMS, inp, v, st, rd } = t;
  const values = errs === undefined ? [o ?? vars ?? inp, ...items] : [o, errs];
  const keep = (given: Json): Json => (values.push(given), given);
  if (typeof v === "object") {
    void ("kind" in v ? mapGiven(v, keep) : keep(v.data));
  }
  if (rd !== undefined) {
    values.push(rd.in);
    Object.values(rd.set ?? {}).forEach((answer) => mapGiven(answer, keep));
  }
  const refs = values.map((value) => blobOfValue(value)).filter((ref) => ref !== null);
  const fields = st ?? rd?.f;
  if (fields !== undefined) {
    refs.push(...blobRefsIn(Object.entries(fields)));
  }
  return refs.map((ref) => ({ runId, ref }));
}

/** What one statement can take of them at a time, in an order in which writers cannot deadlock. */
export function blobPortions(uses: readonly BlobUse[]): BlobUse[][] {
  const ordered = [...uses].sort((a, b) => (a.ref.sha256 < b.ref.sha256 ? -1 : 1));
  return portions(ordered, ({ ref }) => ref.bytes);
}

/** Redis has lost what a block refers to since the block was read from it. */
export class BlobsLost extends Error {}

/**
 * These references with their texts, as the archive wants them. One that is nowhere is archived
 * without: the journal must not stop at it. Throws BlobsLost if Redis is not what it was: the run is
 * about to be rebuilt, and executes again what is not archived.
 */
export async function blobsToArchive(
  scripts: ScriptRunner,
  uses: readonly BlobUse[],
): Promise<ArchivedBlob[]> {
  const { redis, keys } = scripts;
  const blobs = await Promise.all(
    uses.map(async ({ runId, ref: { sha256 } }) => {
      const text = await unlessForeign(redis.hget(keys.blobs(runId), sha256), null);
      return { runId, sha256, text };
    }),
  );
  const missing = blobs.find(({ text }) => text === null);
  if (missing !== undefined && !(await scripts.isCertified())) {
    throw new BlobsLost(`Redis has lost outputs of run ${missing.runId}`);
  }
  return blobs;
}

/** The JSON text that an output's text stands for. Throws BlobError. */
export async function resolveOutput(
  { redis, db }: BlobStores,
  partition: number,
  runId: string,
  text: string,
): Promise<string> {
  const ref = parseBlobText(text);
  if (ref === null) {
    return text;
  }
  const key = partitionKeys(partition).blobs(runId);
  const hot = await unlessForeign(redis.hget(key, ref.sha256), null);
  return checkBlob(ref, hot ?? (await readBlobs(db, [ref.sha256])).get(ref.sha256));
}

/** Puts back what a run refers to, into a Redis that has lost it. */
export async function restoreBlobs(
  db: Database,
  write: Write,
  partition: number,
  runId: string,
): Promise<void> {
  for (const sha256 of await blobsOfRun(db, runId)) {
    const text = (await readBlobs(db, [sha256])).get(sha256);
    if (text !== undefined) {
      await write([["HSET", partitionKeys(partition).blobs(runId), sha256, text]]);
    }
  }
}
