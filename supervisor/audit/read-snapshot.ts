/**
 * Reads all that Redis holds of one run, at one moment: first the names of what there is to read
 * (snapshot-names.ts), then all of it in one MULTI (snapshot-reader.ts). If that shows other names,
 * the run moved: once more.
 */
import type { Redis } from "ioredis";
import type { Ir } from "../../compiler/ir.ts";
import {
  foreignKeys,
  isForeign,
  partitionKeys,
  type ForeignKey,
  type Hash,
} from "../../sdk/internal.ts";
import { livingElements, namesOf, streamsOf } from "./snapshot-names.ts";
import { SnapshotReader, type Snapshot } from "./snapshot-reader.ts";
import type { StreamIndex } from "./streams.ts";

const TRIES = 8;
/** Units asked for in one round trip: one after the other, ten thousand take ten seconds from afar. */
const PAGE = 500;

/**
 * Null: the run is not in Redis. "moving": it moved between all tries. A list: keys of it are of
 * another type, so it cannot be read.
 */
export async function readSnapshot(
  redis: Redis,
  partition: number,
  runId: string,
  irOf: (hash: string) => Promise<Ir | null>,
  streams: StreamIndex,
): Promise<Snapshot | "moving" | ForeignKey[] | null> {
  try {
    return await readWhole(redis, partition, runId, irOf, streams);
  } catch (error) {
    const found = isForeign(error) ? await foreignKeys(redis, partitionKeys(partition), runId) : [];
    if (found.length === 0) {
      throw error;
    }
    return found;
  }
}

async function readWhole(
  redis: Redis,
  partition: number,
  runId: string,
  irOf: (hash: string) => Promise<Ir | null>,
  streams: StreamIndex,
): Promise<Snapshot | "moving" | null> {
  const keys = partitionKeys(partition);
  let known = await firstLook(redis, partition, runId);
  for (let attempt = 0; attempt < TRIES && known !== null; attempt++) {
    const run = known.get(runId) ?? {};
    const queueKeys = streamsOf(await irOf(run["ir"] ?? ""), partition, run["m"] ?? "");
    for (const key of queueKeys) {
      await streams.refresh(key);
    }
    const names = namesOf(runId, known, queueKeys);
    const reader = new SnapshotReader(redis, keys, runId, names, queueKeys, streams);
    const snapshot = await reader.read();
    if (snapshot === null || !snapshot.units.has(runId)) {
      known = await firstLook(redis, partition, runId);
      continue;
    }
    const now = namesOf(runId, withListed(snapshot), queueKeys);
    if (JSON.stringify(names) === JSON.stringify(now)) {
      return snapshot;
    }
    known = await firstLook(redis, partition, runId);
  }
  return known === null ? null : "moving";
}

/** Its units, and the maps that are on its list and have no hash. */
function withListed({ units, maps }: Snapshot): Map<string, Hash> {
  const listed = [...maps].map((map) => [map, units.get(map) ?? {}] as const);
  return new Map([...units, ...listed]);
}

/** The run and its maps, as they are now or a moment later. */
async function firstLook(
  redis: Redis,
  partition: number,
  runId: string,
): Promise<Map<string, Hash> | null> {
  const keys = partitionKeys(partition);
  const run = await redis.hgetall(keys.run(runId));
  if (run["s"] === undefined && Object.keys(run).length === 0) {
    return null;
  }
  const units = new Map([[runId, run as Hash]]);
  const add = async (names: readonly string[]): Promise<void> => {
    for (let from = 0; from < names.length; from += PAGE) {
      const page = names.slice(from, from + PAGE);
      const hashes = await Promise.all(page.map((name) => redis.hgetall(keys.run(name))));
      page.forEach((name, i) => units.set(name, hashes[i] as Hash));
    }
  };
  await add(await redis.smembers(keys.maps(runId)));
  await add(livingElements(units));
  return units;
}
