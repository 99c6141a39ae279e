/**
 * `gavotte doctor`: how far each partition's archive is behind its journal.
 *
 * What stands still when nobody archives is all that Postgres says: runs look as they did, ended ones
 * do not end, timers that were armed are not known. Everything else may be in order meanwhile.
 */
import { connectionAt, partitionKeys, type Redis } from "../sdk/internal.ts";
import { readCursor, type Database } from "../sdk/postgres/index.ts";
import type { Check } from "./doctor-checks.ts";
import { formatMs } from "./output.ts";
import type { Stack } from "./stack.ts";
import { whereServed } from "./where-served.ts";

export interface Lag {
  partition: number;
  /** Records of the journal that are not archived. */
  records: number;
  /** Age of the oldest of them, ms. */
  ms: number;
}

/** An archiver under load needs less; one that begins with a partition, too. */
export const LATE_MS = 5000;
/** By then another has taken over from whoever was frozen. */
const STANDS_MS = 30_000;
const SHOWN = 10;

/** Of all partitions that have a primary. */
export async function checkArchive(stack: Stack): Promise<Check[]> {
  const client = await stack.client();
  const { redis } = client;
  const { partitions } = await client.deployment();
  const lags: Lag[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const lag = await whereServed(redis, partition, () => lagOf(redis, stack.db, partition));
    void (lag === null || lags.push(lag));
  }
  return [archiveCheck(lags)];
}

/** Null: all is archived, or the two cannot be compared because nobody has certified the partition. */
export async function lagOf(redis: Redis, db: Database, partition: number): Promise<Lag | null> {
  const keys = partitionKeys(partition);
  // First: what is archived meanwhile must not look as if it had been there before.
  const cursor = await readCursor(db, partition);
  const at = connectionAt(redis, keys.ev);
  const [epoch, seq] = await at.hmget(keys.meta, "epoch", "seq");
  if (cursor === null || Number(epoch) !== cursor.epoch || Number(seq) <= cursor.seq) {
    return null;
  }
  const [oldest] = await at.xrange(keys.ev, `(${cursor.streamId}`, "+", "COUNT", 1);
  if (oldest === undefined) {
    return null;
  }
  const [seconds] = await at.time();
  const ms = Math.max(0, Number(seconds) * 1000 - Number.parseInt(oldest[0], 10));
  return { partition, records: Number(seq) - cursor.seq, ms };
}

/** What is said of partitions that are behind. */
export function archiveCheck(lags: readonly Lag[]): Check {
  const name = "archive";
  const late = lags.filter(({ ms }) => ms > LATE_MS).sort((a, b) => b.ms - a.ms);
  if (late.length === 0) {
    return { name, state: "ok", text: "up to date" };
  }
  const each = late
    .slice(0, SHOWN)
    .map(({ partition, records, ms }) => `${partition} (${records} records, for ${formatMs(ms)})`);
  const more = late.length > SHOWN ? ` and ${late.length - SHOWN} more` : "";
  const isStill = late.some(({ ms }) => ms > STANDS_MS);
  const remedy = isStill
    ? "; no run there ends, and what is told of them is old: look at the log of the supervisor " +
      "that holds them, and at Postgres"
    : "";
  const text = `behind in partition(s) ${each.join(", ")}${more}${remedy}`;
  return { name, state: isStill ? "bad" : "warning", text };
}
