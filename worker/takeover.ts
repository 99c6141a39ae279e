/**
 * Takes over what a worker that stopped answering has left behind.
 *
 * Redis never offers a delivered entry again by itself. Entries idle for longer than the lease are
 * claimed one by one and executed alone, nothing else in the process's hands: a payload that kills
 * its worker must not take sixty-three others to the dead letters with it (21 A13). Idleness is
 * Redis' own, so a machine with a wrong clock steals nothing.
 */
import type { Redis } from "ioredis";
import { GROUP, parseEntry, type ReadyToken } from "../sdk/internal.ts";

export interface StaleEntry {
  queueKey: string;
  entryId: string;
  /** Deliveries so far. */
  deliveries: number;
}

type PendingReply = [id: string, consumer: string, idleMs: number, deliveries: number][];

/** Entries idle for at least `leaseMs`, at most `count` per queue. */
export async function findStale(
  redis: Redis,
  queueKeys: readonly string[],
  leaseMs: number,
  count: number,
): Promise<StaleEntry[]> {
  const pipeline = redis.pipeline();
  for (const key of queueKeys) {
    pipeline.call("XPENDING", key, GROUP, "IDLE", leaseMs, "-", "+", count);
  }
  const replies = (await pipeline.exec()) ?? [];
  return replies.flatMap(([error, reply], i) =>
    error !== null
      ? []
      : (reply as PendingReply).map(([entryId, , , deliveries]) => ({
          queueKey: queueKeys[i] as string,
          entryId,
          deliveries,
        })),
  );
}

/**
 * Claims one stale entry; null if somebody else has it, or if it is gone (then nothing stays
 * pending of it).
 */
export async function claim(
  redis: Redis,
  metaKey: string,
  entry: StaleEntry,
  consumer: string,
  leaseMs: number,
): Promise<ReadyToken | null> {
  const { queueKey, entryId } = entry;
  // Counted in the same step: whoever finds the count unchanged has lost no entry.
  const replies = await redis
    .multi()
    .xclaim(queueKey, GROUP, consumer, leaseMs, entryId)
    .hincrby(metaKey, "taken", 1)
    .exec();
  const [error, claimed] = replies?.[0] ?? [new Error("the claim was not executed")];
  if (error !== null) {
    throw error;
  }
  const fields = (claimed as [string, string[] | null][])[0]?.[1];
  return fields === undefined || fields === null ? null : parseEntry(queueKey, entryId, fields);
}
