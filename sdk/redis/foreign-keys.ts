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

/** Names of a run's maps; `isForeign`: something else stands in place of their list. */
export interface MapNames {
  names: string[];
  isForeign: boolean;
}

/**
 * Names of a run's maps. Where something else stands in place of their list, those that a look at all
 * keys of the server finds: nothing else names them.
 */
export async function mapsOf(store: Store, runId: string): Promise<MapNames> {
  return (await mapsOfRuns(store, [runId])).get(runId) as MapNames;
}

interface Store {
  redis: Redis;
  keys: PartitionKeys;
}

/** The same of several runs, by id: all keys are looked at once, however many lists are damaged. */
export async function mapsOfRuns(
  { redis, keys }: Store,
  runIds: readonly string[],
): Promise<Map<string, MapNames>> {
  const lists = await Promise.all(
    runIds.map((id) => unlessForeign(redis.smembers(keys.maps(id)), null)),
  );
  const damaged = runIds.filter((_, i) => lists[i] === null);
  const found = await mapsByKeys({ redis, keys }, damaged);
  return new Map(
    runIds.map((id, i) => {
      const names = lists[i] ?? [...(found.get(id) ?? [])];
      return [id, { names, isForeign: lists[i] === null }];
    }),
  );
}

/** Names of maps of these runs of which there are keys. */
async function mapsByKeys(
  { redis, keys }: Store,
  runIds: readonly string[],
): Promise<Map<string, Set<string>>> {
  const found = new Map(runIds.map((id) => [id, new Set<string>()]));
  const [first] = runIds;
  if (first === undefined) {
    return found;
  }
  await redis.exists(keys.maps(first)); // has a key: goes to the server that has the partition
  const begin = keys.run("");
  const match = `${keys.run(runIds.length === 1 ? first : "").replaceAll(/[*?[\]\\]/g, "\\$&")}*!*`;
  let at = "0";
  do {
    const [next, page] = await redis.scan(at, "MATCH", match, "COUNT", SCAN_COUNT);
    for (const key of page) {
      const unit = key.slice(begin.length);
      found.get(unit.slice(0, unit.indexOf("!")))?.add(unit.replace(/#\d+$/, ""));
    }
    at = next;
  } while (at !== "0");
  return found;
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
