/** What is done to the cluster while runs are on their way; each returns what was done. */
import { setTimeout as pause } from "node:timers/promises";
import calculateSlot from "cluster-key-slot";
import { SLOTS } from "../../sdk/internal.ts";
import { partitionKeys } from "../../sdk/keys.ts";
import { makeWorkloads, type Workload } from "../chaos/workloads.ts";
import { takeOver, type TestNode } from "../support/redis-cluster.ts";
import { waitFor } from "../support/wait-for.ts";
import { PARTITIONS, type ClusterStack } from "./stack.ts";

export interface Load {
  seed: number;
  runs: number;
}

const BATCH = 25;
const OPEN_MAX = 3 * BATCH;
const WORKFLOWS = 18;

/** Those that need no functions, signals or children. */
export function plainWorkloads(seed: number, count: number): Workload[] {
  return makeWorkloads(seed, count, { maps: true }).filter(
    ({ scenario }) => scenario === undefined,
  );
}

/** Submits while `work` goes on, then what is left. */
export async function under(
  stack: ClusterStack,
  { seed, runs }: Load,
  work: () => Promise<void>,
): Promise<void> {
  const workloads = plainWorkloads(seed, WORKFLOWS);
  let isOver = false;
  const loading = (async () => {
    for (let sent = 0; !isOver || sent < runs; sent += BATCH) {
      await stack.submit(workloads, BATCH);
      stack.at(`submitted ${sent + BATCH}`);
      await hasRoom(stack, sent + BATCH);
      await pause(20);
    }
  })();
  // Without a load there is nothing to look at.
  const isLoaded = loading.then(() => new Promise<never>(() => undefined));
  await Promise.race([work(), isLoaded]).finally(() => (isOver = true));
  stack.at("submit what is left");
  await loading;
}

/**
 * Waits until no more runs are open than what keeps everybody busy: however long a fault takes, what
 * is left to do after it is bounded.
 */
async function hasRoom(stack: ClusterStack, sent: number): Promise<void> {
  const isRoom = async (): Promise<boolean> => {
    if (sent - (await stack.ended()).size <= OPEN_MAX) {
      return true;
    }
    await stack.sendMissing();
    return false;
  };
  await waitFor(isRoom, { timeoutMs: 120_000, describe: `more than ${OPEN_MAX} runs stay open` });
}

/** Moves half of one primary's slots that hold partitions to another primary; returns the count. */
export async function reshard(stack: ClusterStack): Promise<{ slots: number; keys: number }> {
  const { cluster } = stack;
  const used = Array.from({ length: PARTITIONS }, (_, p) => calculateSlot(partitionKeys(p).meta));
  const [from, to] = cluster.nodes as [TestNode, TestNode];
  const view = (await from.view()).find(({ id }) => id === from.id);
  const owned = (view?.ranges ?? []).flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, i) => first + i),
  );
  const hot = owned.filter((slot) => used.includes(slot));
  // Of the others those that hold something: workflows, what is of no partition. An empty slot that
  // moves is told by a redirection to nobody, and each costs a dozen calls.
  const cold = await holding(
    from,
    owned.filter((slot) => !used.includes(slot)),
  );
  const empty = owned.filter((slot) => !used.includes(slot) && !cold.includes(slot));
  const chosen = [
    ...hot.slice(0, Math.ceil(hot.length / 2)),
    ...cold.slice(0, COLD_SLOTS),
    ...empty.slice(0, EMPTY_SLOTS),
  ];
  let keys = 0;
  for (const slot of chosen) {
    keys += await cluster.moveSlot(slot, from, to);
  }
  return { slots: chosen.length, keys };
}

/** Which of these slots of a node hold keys. */
async function holding({ redis }: TestNode, slots: readonly number[]): Promise<number[]> {
  const counts = await Promise.all(slots.map((slot) => redis.cluster("COUNTKEYSINSLOT", slot)));
  return slots.filter((_, i) => Number(counts[i]) > 0);
}

const COLD_SLOTS = 100;
const EMPTY_SLOTS = 10;

export interface Failover {
  /** For how long the replica had nothing of what its primary accepted, ms, at least. */
  lostMs: number;
  how: "frozen" | "killed";
  /** Writes that the primary had accepted and the replica did not have, in bytes of the stream. */
  lostBytes: number;
}

/**
 * One primary goes, its replica takes over without the last of what it had accepted. The primary
 * comes back, believing at first that it still is one.
 */
export async function failOver(
  stack: ClusterStack,
  random: () => number,
  how: Failover["how"],
): Promise<Failover> {
  const { cluster } = stack;
  const primaries = await cluster.primaries();
  const primary = primaries[Math.floor(random() * primaries.length)] as TestNode;
  const [replica] = await cluster.replicasOf(primary);
  if (replica === undefined) {
    throw new Error(`the primary on ${primary.port} has no replica`);
  }
  const lostMs = Math.round(50 + random() * 600);
  stack.at(`cut off ${replica.port}, the replica of ${primary.port}`);
  await replica.cutOff();
  await pause(lostMs);
  await isArchivedBeyond(stack, replica);
  const lostBytes = (await offset(primary, "master")) - (await offset(replica, "slave"));
  if (how === "killed") {
    primary.kill();
  } else {
    primary.freeze();
  }
  stack.at(`promote ${replica.port}: ${primary.port} is ${how}`);
  await takeOver(replica);
  await replica.joinAgain();
  await pause(random() * 1500);
  if (how === "killed") {
    await primary.restart();
  } else {
    primary.thaw();
  }
  stack.at(`wait until the cluster is whole`);
  await cluster.settled();
  return { lostMs, how, lostBytes };
}

/** Waits until Postgres has records of some partition that this replica lacks. */
async function isArchivedBeyond({ db }: ClusterStack, replica: TestNode): Promise<void> {
  await replica.redis.readonly();
  const lacks = async (): Promise<boolean> => {
    for (const { partition, seq } of await db.query<{ partition: number; seq: number }>(CURSORS)) {
      const has = await replica.redis.hget(partitionKeys(partition).meta, "seq").catch(() => null);
      if (has !== null && Number(has) < seq) {
        return true;
      }
    }
    return false;
  };
  const describe = "nothing is archived that the replica lacks";
  await waitFor(lacks, { timeoutMs: 60_000, describe });
}

const CURSORS = { name: "cluster_cursors", text: "SELECT partition, seq FROM cursors" };

/**
 * The primary that has `key` dies. The others promote its replica, by themselves; it comes back
 * without data, as a replica. Returns how long the key had no primary, ms.
 */
export async function holderDies({ cluster }: ClusterStack, key: string): Promise<number> {
  const primary = await cluster.ownerOf(calculateSlot(key));
  const [replica] = await cluster.replicasOf(primary);
  if (replica === undefined) {
    throw new Error(`the primary on ${primary.port} has no replica`);
  }
  primary.kill();
  const killedMs = performance.now();
  const isPromoted = async (): Promise<boolean> =>
    (await replica.redis.info("replication")).includes("role:master");
  await waitFor(isPromoted, { timeoutMs: 30_000, describe: "no replica is promoted" });
  const awayMs = Math.round(performance.now() - killedMs);
  await primary.restart();
  await cluster.settled();
  return awayMs;
}

async function offset(node: TestNode, role: "master" | "slave"): Promise<number> {
  const info = await node.redis.info("replication");
  return Number(new RegExp(`${role}_repl_offset:(\\d+)`).exec(info)?.[1] ?? 0);
}

/**
 * One primary without a replica stands still; runs submitted meanwhile in partitions of the others
 * end. Returns how many have.
 */
export async function oneDown(stack: ClusterStack, seed: number): Promise<number> {
  const { cluster } = stack;
  // Submissions, the use of definitions and the deployment lie somewhere too: they must be up.
  const down = await cluster.ownerOf(Math.floor(SLOTS / 2));
  const view = (await down.view()).find(({ id }) => id === down.id);
  const isDown = (key: string): boolean => {
    const slot = calculateSlot(key);
    return (view?.ranges ?? []).some(([first, last]) => slot >= first && slot <= last);
  };
  const workloads = plainWorkloads(seed, 30).filter(({ hash }) => !isDown(`gv:ir:${hash}`));
  down.freeze();
  try {
    const runs = await stack.submit(workloads, 60);
    const alive = runs.filter(({ runId }) => !isDown(partitionKeys(stack.partitionOf(runId)).meta));
    await waitFor(
      async () => {
        const ended = await stack.ended();
        return alive.every(({ runId }) => ended.has(runId));
      },
      { timeoutMs: 60_000, describe: "runs of partitions whose primary is up have not ended" },
    );
    return alive.length;
  } finally {
    down.thaw();
  }
}
