/**
 * Removing the keys of maps that are over: all of a run's when it is released, and those of single
 * maps that failed or belong to a round that is gone, which the scripts put on the partition's
 * `release` list. Nothing writes to any of them any more: their elements are refused.
 */
import type { Redis } from "ioredis";
import { elementPlace, parseUnit, type PartitionKeys } from "../sdk/internal.ts";

/** Elements looked at in one round trip. */
const PAGE = 500;

/** Removes every map of these runs, elements and their timers included. */
export async function releaseMapsOf(
  redis: Redis,
  keys: PartitionKeys,
  runIds: readonly string[],
): Promise<void> {
  for (const runId of runIds) {
    for (const map of await redis.smembers(keys.maps(runId))) {
      await releaseOne(redis, keys, map);
    }
    await redis.unlink(keys.maps(runId));
  }
}

/** Removes maps by name, with the maps inside their elements, and takes them off the list. */
export async function releaseMaps(
  redis: Redis,
  keys: PartitionKeys,
  maps: readonly string[],
): Promise<void> {
  for (const map of maps) {
    const listed = keys.maps(parseUnit(map).runId);
    const inside = (await redis.smembers(listed)).filter((name) => name.startsWith(`${map}#`));
    for (const name of [...inside, map]) {
      await releaseOne(redis, keys, name);
      await redis.srem(listed, name);
    }
    await redis.zrem(keys.release, map);
  }
}

async function releaseOne(redis: Redis, keys: PartitionKeys, map: string): Promise<void> {
  const key = keys.run(map);
  const [next, timer] = await Promise.all([redis.hget(key, "next"), timerOfMap(redis, keys, map)]);
  for (let from = 0; from < Number(next ?? 0); from += PAGE) {
    const count = Math.min(PAGE, Number(next) - from);
    const elements = Array.from({ length: count }, (_, i) => keys.run(`${map}#${from + i}`));
    await removeElements(redis, keys, elements);
  }
  await redis.unlink(key);
  if (timer !== null) {
    await redis.zrem(keys.timers, timer);
  }
  await redis.zrem(keys.release, map);
}

/** The timeout of a map, if it is still the map of its node. */
async function timerOfMap(redis: Redis, keys: PartitionKeys, map: string): Promise<string | null> {
  const place = elementPlace(`${map}#0`);
  if (place === null) {
    return null;
  }
  const fields = [`m${place.node}`, `d${place.node}`];
  const [scope, timer] = await redis.hmget(keys.run(place.parent), ...fields);
  return scope === place.scope ? (timer ?? null) : null;
}

async function removeElements(
  redis: Redis,
  keys: PartitionKeys,
  elements: readonly string[],
): Promise<void> {
  const flags = redis.pipeline();
  elements.forEach((element) => flags.hget(element, "x"));
  const armed = ((await flags.exec()) ?? []).flatMap(([, flag], i) =>
    flag === null ? [] : [elements[i] as string],
  );
  for (const element of armed) {
    const names = (await redis.hkeys(element)).filter((name) => /^d\d+$/.test(name));
    const members = names.length === 0 ? [] : await redis.hmget(element, ...names);
    const timers = members.filter((member) => member !== null);
    if (timers.length > 0) {
      await redis.zrem(keys.timers, ...timers);
    }
  }
  await redis.unlink(...elements);
}
