/**
 * Namespaces that one process serves for one run (`gavotte run`): where it is, and the removal of its
 * queues.
 *
 * The process writes itself down in Postgres before it submits, and beats while it lives; it removes
 * the queues when its run has ended, and all that came of it. What a process leaves behind that was
 * killed, a supervisor finds there (supervisor/namespaces.ts). Whoever makes a run live again that has
 * ended takes it out of such a namespace: nobody may be there any more.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { readFile, readlink } from "node:fs/promises";
import { hostname } from "node:os";
import type { Redis } from "ioredis";
import { partitionKeys, PRIORITIES } from "./keys.ts";
import { forgetNamespace, openOfTree, type Database, type RunNamespace } from "./postgres/index.ts";

/** Stands for what a system does not tell: no other process has it. */
const UNKNOWN = randomUUID();

const OURS = /^ns:run-[0-9a-f]{12}:$/;

/** A namespace that no other process has, and what names it. */
export function newNamespace(): { namespace: string; suffix: string } {
  const suffix = randomBytes(6).toString("hex");
  return { namespace: `ns:run-${suffix}:`, suffix };
}

/** Whether a namespace is one that a single process serves, for one run. */
export function isRunNamespace(namespace: string): boolean {
  return OURS.test(namespace);
}

/** The namespace of a run that lives again after its end: not that of a process, which may be gone. */
export function namespaceAgain(namespace: string): string {
  return isRunNamespace(namespace) ? "" : namespace;
}

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

/**
 * Removes the queues of a namespace whose worker has stopped, and forgets it; false: a run of its tree
 * is open, and it stays.
 */
export async function removeNamespace(
  { redis, db }: { redis: Redis; db: Database },
  partitions: number,
  one: RunNamespace,
): Promise<boolean> {
  if ((await openOfTree(db, one.runId, 1)).length > 0) {
    return false;
  }
  for (let p = 0; p < partitions; p++) {
    await redis.unlink(...namespaceStreams(one, p));
  }
  return forgetNamespace(db, one);
}
