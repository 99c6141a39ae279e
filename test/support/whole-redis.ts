/** What concerns all of a Redis: the one server, or every primary of a cluster. */
import { Redis } from "ioredis";
import { clusterOf } from "../../sdk/redis/cluster-router.ts";

const LOAD_MS = 10_000;

/** Removes every key of the logical database behind a connection. */
export async function emptyRedis(redis: Redis): Promise<void> {
  await onEach(redis, (server) => server.flushdb());
}

/** The names of all keys that match. */
export async function allKeys(redis: Redis, pattern: string): Promise<string[]> {
  return (await onEach(redis, (server) => server.keys(pattern))).flat();
}

async function onEach<T>(redis: Redis, work: (server: Redis) => Promise<T>): Promise<T[]> {
  const topology = clusterOf(redis);
  if (topology === null) {
    return [await work(redis)];
  }
  await topology.load(LOAD_MS);
  const { options } = topology.target;
  const primaries = topology.nodes.filter(({ isPrimary }) => isPrimary);
  return Promise.all(
    primaries.map(async ({ address }) => {
      const server = new Redis({ ...options, ...address });
      return work(server).finally(() => server.disconnect());
    }),
  );
}
