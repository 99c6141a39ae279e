/**
 * Namespaces that one process serves for one run (`gavotte run`): who owns them, and their removal.
 *
 * The process writes itself down before it submits, and removes the queues when its run has ended. What
 * a process leaves behind that was killed, a supervisor finds here (supervisor/namespaces.ts).
 */
import type { Redis } from "ioredis";
import { globalKeys, partitionKeys, PRIORITIES } from "./keys.ts";

export interface RunNamespace {
  /** `ns:<id>:`. */
  namespace: string;
  runId: string;
  /** Queues that its worker reads, namespace included. */
  queues: readonly string[];
  /** Who serves it. */
  host: string;
  pid: number;
  /** When it was written down. */
  atMs: number;
}

/** Writes a namespace down. */
export async function keepNamespace(redis: Redis, one: RunNamespace): Promise<void> {
  await redis.hset(globalKeys.namespaces, one.namespace, JSON.stringify(one));
}

/** All that are written down. */
export async function listNamespaces(redis: Redis): Promise<RunNamespace[]> {
  const texts = await redis.hvals(globalKeys.namespaces);
  return texts.map((text) => JSON.parse(text) as RunNamespace);
}

/** Streams of a namespace's queues in a partition. */
export function namespaceStreams({ queues }: RunNamespace, partition: number): string[] {
  const keys = partitionKeys(partition);
  return queues.flatMap((queue) =>
    PRIORITIES.flatMap((priority) => [
      keys.queue(queue, priority),
      keys.entryQueue(queue, priority),
    ]),
  );
}

/** Removes the queues of a namespace whose run has ended and whose worker has stopped. */
export async function removeNamespace(
  redis: Redis,
  partitions: number,
  one: RunNamespace,
): Promise<void> {
  for (let p = 0; p < partitions; p++) {
    await redis.unlink(...namespaceStreams(one, p));
  }
  await redis.hdel(globalKeys.namespaces, one.namespace);
}
