/**
 * Removing the keys of maps that are over: all of a run's when it is released, and those of single
 * maps that failed or belong to a round that is gone, which the scripts put on the partition's
 * `release` list. Nothing writes to them any more: their elements are refused. Only when a map around
 * it is tried again by hand, or the run is redriven, does one begin under its name (release_map.lua).
 */
import type { Redis } from "ioredis";
import {
  elementPlace,
  mapsOf,
  mapsOfRuns,
  parseUnit,
  releaseMap,
  unlessForeign,
  type PartitionKeys,
  type ScriptRunner,
} from "../sdk/internal.ts";
import { writeWhile, type Write } from "./guarded.ts";

/** Elements looked at in one round trip. */
const PAGE = 500;

/**
 * Removes the maps of runs that have ended, elements and their timers included; those of the run
 * itself go with it. What a run that is redriven meanwhile begins stays.
 */
export async function releaseMapsOfEnded(
  scripts: ScriptRunner,
  runIds: readonly string[],
): Promise<void> {
  for (const { names } of (await mapsOfRuns(scripts, runIds)).values()) {
    for (const map of names) {
      await releaseByPages(scripts, null, map);
    }
  }
}

/**
 * Removes every map of runs that are made anew, elements and their timers included. Only for who has
 * the run to himself.
 */
export async function releaseMapsOf(
  redis: Redis,
  keys: PartitionKeys,
  runIds: readonly string[],
  write: Write = writeWhile(redis),
): Promise<void> {
  for (const runId of runIds) {
    const { names, isForeign } = await mapsOf({ redis, keys }, runId);
    for (const map of names) {
      await releaseOne(redis, keys, map, write);
    }
    if (isForeign) {
      await write([["UNLINK", keys.maps(runId)]]);
      continue;
    }
    // By name: what begins meanwhile stays listed.
    for (let from = 0; from < names.length; from += PAGE) {
      await write([["SREM", keys.maps(runId), ...names.slice(from, from + PAGE)]]);
    }
  }
}

/**
 * Removes maps that are on the list, with the maps inside their elements. One that is expanded anew
 * meanwhile leaves the list, and nothing more of it is removed.
 */
export async function releaseMaps(scripts: ScriptRunner, listed: readonly string[]): Promise<void> {
  // Of runs of which nothing but a look at all keys finds them: that is not done again for each.
  const looked = new Map<string, string[]>();
  for (const map of listed) {
    const { runId } = parseUnit(map);
    const known = looked.get(runId);
    const { names, isForeign } =
      known === undefined ? await mapsOf(scripts, runId) : { names: known, isForeign: true };
    if (isForeign) {
      looked.set(runId, names);
    }
    const inside = names.filter((name) => name.startsWith(`${map}#`));
    for (const name of [...inside, map]) {
      await releaseByPages(scripts, map, name);
    }
  }
}

async function releaseByPages(
  scripts: ScriptRunner,
  listed: string | null,
  map: string,
): Promise<void> {
  const begun = await begunElements(scripts.redis, scripts.keys.run(map));
  let from = 0;
  do {
    const to = Math.min(from + PAGE, begun);
    if (!(await releaseMap(scripts, { listed, map, from, to, isLast: to === begun }))) {
      return;
    }
    from = to;
  } while (from < begun);
}

async function releaseOne(
  redis: Redis,
  keys: PartitionKeys,
  map: string,
  write: Write,
): Promise<void> {
  const key = keys.run(map);
  const [begun, timer] = await Promise.all([
    begunElements(redis, key),
    timerOfMap(redis, keys, map),
  ]);
  for (let from = 0; from < begun; from += PAGE) {
    const count = Math.min(PAGE, begun - from);
    const elements = Array.from({ length: count }, (_, i) => keys.run(`${map}#${from + i}`));
    await removeElements(redis, keys, elements, write);
  }
  await write([
    ["UNLINK", key],
    ...(timer === null ? [] : [["ZREM", keys.timers, timer]]),
    ["ZREM", keys.release, map],
  ]);
}

/** Below which index there may be elements: they began, now or in an expansion before. */
async function begunElements(redis: Redis, key: string): Promise<number> {
  const counts = await unlessForeign(redis.hmget(key, "next", "again"), []);
  return Math.max(0, ...counts.map((count) => Number(count ?? 0)));
}

/** The timeout of a map, if it is still the map of its node. */
async function timerOfMap(redis: Redis, keys: PartitionKeys, map: string): Promise<string | null> {
  const place = elementPlace(`${map}#0`);
  if (place === null) {
    return null;
  }
  const fields = [`m${place.node}`, `d${place.node}`];
  const read = redis.hmget(keys.run(place.parent), ...fields);
  const [scope, timer] = await unlessForeign(read, []);
  return scope === place.scope ? (timer ?? null) : null;
}

async function removeElements(
  redis: Redis,
  keys: PartitionKeys,
  elements: readonly string[],
  write: Write,
): Promise<void> {
  const flags = redis.pipeline();
  elements.forEach((element) => flags.hget(element, "x"));
  const armed = ((await flags.exec()) ?? []).flatMap(([error, flag], i) =>
    error !== null || flag === null ? [] : [elements[i] as string],
  );
  for (const element of armed) {
    const names = (await redis.hkeys(element)).filter((name) => /^d\d+$/.test(name));
    const members = names.length === 0 ? [] : await redis.hmget(element, ...names);
    const timers = members.filter((member) => member !== null);
    if (timers.length > 0) {
      await write([["ZREM", keys.timers, ...timers]]);
    }
  }
  await write([["UNLINK", ...elements]]);
}
