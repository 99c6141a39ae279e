/**
 * How far the journal may run ahead of its archive (21 C9). Slowing intake alone does not bound it:
 * loops and maps of runs under way go on. Above the soft limit no run is admitted; above the hard one
 * workers read no queue. What they have begun is completed and journalled all the same.
 */
import type { Redis } from "ioredis";
import type { PartitionKeys } from "./keys.ts";
import { connectionAt } from "./redis/cluster-router.ts";

export const BACKLOG_BYTES_SOFT = 256 * 1024 * 1024;
export const BACKLOG_BYTES_HARD = 4 * BACKLOG_BYTES_SOFT;

/** All nodes of the stream: of a few the server takes the first, which are the archived tail. */
const EVERY_NODE = 0;
const SHARED_MS = 1000;

/**
 * How many bytes the journal's stream takes in Redis, its archived tail included. Costs the server
 * about 40 ns per 4 KiB: 40 us for the usual tail, 10 ms at the hard limit.
 */
export async function backlogBytes(redis: Redis, keys: PartitionKeys): Promise<number> {
  return (await connectionAt(redis, keys.ev).memory("USAGE", keys.ev, "SAMPLES", EVERY_NODE)) ?? 0;
}

/** The same, at most a second old: measured once for however many workers there are. */
export async function sharedBacklogBytes(redis: Redis, keys: PartitionKeys): Promise<number> {
  const seen = await redis.get(keys.backlog);
  if (seen !== null) {
    return Number(seen);
  }
  const bytes = await backlogBytes(redis, keys);
  // A full server refuses it, and then each measures for itself.
  await redis.set(keys.backlog, bytes, "PX", SHARED_MS).catch(() => undefined);
  return bytes;
}
