/** Typed calls of the scripts about leases and consumers of a queue. */
import type { Redis } from "ioredis";
import { GROUP } from "../keys.ts";
import { callAnywhere, type ScriptRunner } from "./script-runner.ts";

const IDS_MAX = 1000;

/** Renews the leases of `ids`; returns those that this consumer no longer owns. */
export async function renewLeases(
  scripts: ScriptRunner,
  queueKey: string,
  consumer: string,
  ids: readonly string[],
): Promise<string[]> {
  const lost: string[] = [];
  for (let from = 0; from < ids.length; from += IDS_MAX) {
    const args = [consumer, ...ids.slice(from, from + IDS_MAX)];
    lost.push(...((await scripts.call("renewLeases", [queueKey], args)) as string[]));
  }
  return lost;
}

/**
 * Gives entries back so that the next look for stale ones takes them; returns how many. `charged`:
 * this delivery counts towards those after which an entry is poison.
 */
export async function handBack(
  scripts: ScriptRunner,
  queueKey: string,
  { consumer, leaseMs, charged }: { consumer: string; leaseMs: number; charged: boolean },
  ids: readonly string[],
): Promise<number> {
  let count = 0;
  for (let from = 0; from < ids.length; from += IDS_MAX) {
    const args = [consumer, leaseMs, charged ? 1 : 0, ...ids.slice(from, from + IDS_MAX)];
    count += (await scripts.call("handBack", [queueKey], args)) as number;
  }
  return count;
}

/**
 * Counts one delivery of entries more (1) or less (-1), if they are this consumer's still; their leases
 * begin anew.
 */
export async function recount(
  scripts: ScriptRunner,
  queueKey: string,
  consumer: string,
  ids: readonly string[],
  by: -1 | 1,
): Promise<void> {
  await scripts.call("handBack", [queueKey], [consumer, 0, by + 1, ...ids]);
}

/** Removes a consumer from a stream's group; false while something is pending for it. */
export async function removeConsumer(
  redis: Redis,
  key: string,
  consumer: string,
  group: string = GROUP,
): Promise<boolean> {
  return ((await callAnywhere(redis, "removeConsumer", [key], [consumer, group])) as number) >= 0;
}
