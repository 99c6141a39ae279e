/**
 * Namespaces that one process serves for one run (`gavotte run`): where it is, and the removal of its
 * queues.
 *
 * The process writes itself down in Postgres before it submits, and beats while it lives; it removes the
 * queues when its run has ended. What a process leaves behind that was killed, a supervisor finds there
 * (supervisor/namespaces.ts).
 */
import { randomUUID } from "node:crypto";
import { readFile, readlink } from "node:fs/promises";
import { hostname } from "node:os";
import type { Redis } from "ioredis";
import { partitionKeys, PRIORITIES } from "./keys.ts";
import { forgetNamespace, type Database, type RunNamespace } from "./postgres/index.ts";

/** Stands for what a system does not tell: no other process has it. */
const UNKNOWN = randomUUID();

/**
 * Names where a process id means something: this host since it was started, and within it the process
 * ids that this process sees. Two containers of one host name differ in it. Where the system does not
 * tell these (`proc`), two hosts may have one name: then no process takes another's id for its own.
 */
export async function machineName(proc = "/proc"): Promise<string> {
  const facts = await Promise.all([
    readFile(`${proc}/sys/kernel/random/boot_id`, "utf8").catch(() => UNKNOWN),
    readlink(`${proc}/self/ns/pid`).catch(() => UNKNOWN),
  ]);
  return [hostname(), ...facts.map((fact) => fact.trim())].join(" ");
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
  { redis, db }: { redis: Redis; db: Database },
  partitions: number,
  one: RunNamespace,
): Promise<void> {
  for (let p = 0; p < partitions; p++) {
    await redis.unlink(...namespaceStreams(one, p));
  }
  await forgetNamespace(db, one.namespace);
}
