/**
 * Keys of a run that are of another type than the engine writes: somebody else has put something in
 * their place, by hand or from a copy. Nothing of the run is in such a key, and each command on it
 * fails (WRONGTYPE), so it is as one that is lost: the run is rebuilt from its journal, which removes
 * the key (begin_repair, release-maps.ts).
 */
import type { Redis } from "ioredis";
import type { PartitionKeys } from "../keys.ts";

export interface ForeignKey {
  key: string;
  /** Its type, and the one that it should be of. */
  is: string;
  expected: string;
}

/** Units asked for in one round trip. */
const PAGE = 500;
/** Keys that one step of a look at all of them goes past. */
const SCAN_COUNT = 1000;

/** Whether an error says that a key is of another type. */
export function isForeign(error: unknown): boolean {
  return error instanceof Error && /\bWRONGTYPE\b/.test(error.message);
}

/** A reply, or `absent` where the key is of another type: nothing of the run is there. */
export async function unlessForeign<T>(reply: Promise<T>, absent: T): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    if (!isForeign(error)) {
      throw error;
    }
    return absent;
  }
}

/**
 * Names of a run's maps. Where something else stands in place of their list, those that a look at all
 * keys of the server finds: nothing else names them.
 */
export async function mapsOf(
  { redis, keys }: { redis: Redis; keys: PartitionKeys },
  runId: string,
): Promise<{ names: string[]; isForeign: boolean }> {
  const list = keys.maps(runId);
  const names = await unlessForeign(redis.smembers(list), null);
  if (names !== null) {
    return { names, isForeign: false };
  }
  const found = new Set<string>();
  await redis.exists(list); // has a key: goes to the server that has the partition
  let at = "0";
  const begin = keys.run(`${runId}!`);
  const match = `${begin.replaceAll(/[*?[\]\\]/g, "\\$&")}*`;
  do {
    const [next, page] = await redis.scan(at, "MATCH", match, "COUNT", SCAN_COUNT);
    page.forEach((key) => found.add(runId + key.slice(begin.length - 1).replace(/#\d+$/, "")));
    at = next;
  } while (at !== "0");
  return { names: [...found], isForeign: true };
}

/** Those of a run, its maps and their elements as far as their names are known. */
export async function foreignKeys(
  redis: Redis,
  keys: PartitionKeys,
  runId: string,
): Promise<ForeignKey[]> {
  const list = keys.maps(runId);
  const own = await notOf(redis, [
    [keys.run(runId), "hash"],
    [keys.signals(runId), "hash"],
    [keys.blobs(runId), "hash"],
    [list, "set"],
    [keys.held(runId), "list"],
  ]);
  const maps = await unlessForeign(redis.smembers(list), []);
  const found = [...own, ...(await notHashes(redis, keys, maps))];
  for (const map of maps) {
    const begun = await unlessForeign(redis.hget(keys.run(map), "next"), null);
    const elements = Array.from({ length: Number(begun ?? 0) }, (_, i) => `${map}#${i}`);
    found.push(...(await notHashes(redis, keys, elements)));
  }
  return found;
}

async function notHashes(
  redis: Redis,
  keys: PartitionKeys,
  units: readonly string[],
): Promise<ForeignKey[]> {
  const found: ForeignKey[] = [];
  for (let from = 0; from < units.length; from += PAGE) {
    const page = units.slice(from, from + PAGE);
    found.push(
      ...(await notOf(
        redis,
        page.map((unit) => [keys.run(unit), "hash"]),
      )),
    );
  }
  return found;
}

async function notOf(
  redis: Redis,
  all: readonly (readonly [key: string, expected: string])[],
): Promise<ForeignKey[]> {
  const types = await Promise.all(all.map(([key]) => redis.type(key)));
  return all.flatMap(([key, expected], i) => {
    const is = types[i] ?? "none";
    return is === expected || is === "none" ? [] : [{ key, is, expected }];
  });
}

/** "… is a string, where a hash should be" */
export function foreignText({ key, is, expected }: ForeignKey): string {
  return `${key} is a ${is}, where a ${expected} should be`;
}
