/**
 * Stale entries: pending ones of which nothing has been heard for longer than the lease.
 *
 * Redis never offers a delivered entry again by itself, so whoever wants them asks for them by how long
 * they have been idle. Idleness is Redis' own, so a machine with a wrong clock steals nothing. A claim
 * is counted in the same step: whoever finds the partition's count unchanged has lost no entry.
 */
import type { Redis } from "ioredis";
import { GROUP, parseEntry, writeAnyway, type ReadyToken } from "../sdk/internal.ts";
import { idsByQueue } from "./give-back.ts";
import { BATCH_MAX } from "./options.ts";
import type { Garbage } from "./quarantine.ts";

export interface StaleEntry {
  queueKey: string;
  entryId: string;
  /** For how long nobody has touched it. */
  idleMs: number;
  /** Deliveries so far. */
  deliveries: number;
}

type PendingReply = [id: string, consumer: string, idleMs: number, deliveries: number][];

/**
 * All of them, page by page; each once, also if it is handed back meanwhile. The next page is asked
 * for when this one has been dealt with. What has lain for longest comes first in each: whoever takes
 * only some of them, because it dies soon as well, leaves no queue behind for ever.
 */
export async function* pagesOfStale(
  redis: Redis,
  queueKeys: readonly string[],
  leaseMs: number,
): AsyncGenerator<StaleEntry[]> {
  let from = new Map(queueKeys.map((key) => [key, "-"]));
  while (from.size > 0) {
    const found = await lookInto(redis, from, leaseMs);
    const full = found.flatMap((entries) => entries[BATCH_MAX - 1] ?? []);
    from = new Map(full.map(({ queueKey, entryId }) => [queueKey, `(${entryId}`]));
    yield found.flat().sort((a, b) => b.idleMs - a.idleMs);
  }
}

/** In each queue from that id on; what is not answered is left out. */
async function lookInto(
  redis: Redis,
  fromByQueue: ReadonlyMap<string, string>,
  leaseMs: number,
): Promise<StaleEntry[][]> {
  const pipeline = redis.pipeline();
  for (const [key, from] of fromByQueue) {
    pipeline.call("XPENDING", key, GROUP, "IDLE", leaseMs, from, "+", BATCH_MAX);
  }
  const replies = (await pipeline.exec()) ?? [];
  return [...fromByQueue.keys()].map((queueKey, i) => {
    const [error, reply] = replies[i] ?? [];
    const entries = error === null ? (reply as PendingReply) : [];
    return entries.map(([entryId, , idleMs, deliveries]) => {
      return { queueKey, entryId, idleMs, deliveries };
    });
  });
}

/** What a claim has brought. */
export interface Claimed {
  tokens: ReadyToken[];
  /** Of each token, for how long nobody had touched it, and its deliveries, this one among them. */
  idleMs: number[];
  deliveries: number[];
  /** What is no token. */
  garbage: Garbage[];
}

/**
 * Claims stale entries in one step; those that somebody else has are not among them, nor those that
 * are gone (then nothing stays pending of them).
 */
export async function claim(
  redis: Redis,
  metaKey: string,
  entries: readonly StaleEntry[],
  consumer: string,
  leaseMs: number,
): Promise<Claimed> {
  const queues = [...idsByQueue(entries)];
  const replies = await writeAnyway(redis, [
    ...queues.map(([key, ids]) => ["XCLAIM", key, GROUP, consumer, leaseMs, ...ids]),
    ["HINCRBY", metaKey, "taken", 1],
  ]);
  const before = new Map(entries.map((one) => [`${one.queueKey} ${one.entryId}`, one]));
  const claimed: Claimed = { tokens: [], idleMs: [], deliveries: [], garbage: [] };
  for (const [i, [queueKey]] of queues.entries()) {
    for (const one of replies[i] as ([string, string[] | null] | null)[]) {
      const [entryId, fields] = one ?? ["", null];
      const token = fields === null ? null : parseEntry(queueKey, entryId, fields);
      if (token !== null) {
        claimed.tokens.push(token);
        const { idleMs = 0, deliveries = 0 } = before.get(`${queueKey} ${entryId}`) ?? {};
        claimed.idleMs.push(idleMs);
        claimed.deliveries.push(deliveries + 1);
      } else if (fields !== null) {
        claimed.garbage.push({ queueKey, entryId, fields });
      }
    }
  }
  return claimed;
}
