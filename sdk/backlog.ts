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

/** Nodes of the stream that the server looks at; the size of the others is taken to be the same. */
const SAMPLES = 5;

/** About how many bytes the journal's stream takes in Redis, its archived tail included. */
export async function backlogBytes(redis: Redis, keys: PartitionKeys): Promise<number> {
  return (await connectionAt(redis, keys.ev).memory("USAGE", keys.ev, "SAMPLES", SAMPLES)) ?? 0;
}
