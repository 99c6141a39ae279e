/**
 * Memory: what waiting runs and ready tokens take in Redis, and the worker's own. The journal's
 * tail is bounded and belongs to no run, so it is left out.
 */
import { readFileSync } from "node:fs";
import { pause } from "../cmd/embedded/sockets.ts";
import { partitionKeys, type Redis } from "../sdk/internal.ts";
import type { Engine } from "./engine.ts";
import type { BenchOptions } from "./options.ts";
import { figure, type FigureRow } from "./rows.ts";
import { round } from "./usage.ts";
import { fan, parkedDocument, unreadDocument, workOf } from "./workloads.ts";

const HOUR_MS = 3_600_000;
const SETTLE_MS = 1500;
/** Tokens of one run that nobody reads. */
const UNREAD = 5000;

/** Leaves runs behind that wait for an hour. The engine has one worker of concurrency 100. */
export async function measureMemory(engine: Engine, options: BenchOptions): Promise<FigureRow[]> {
  const parked = await perParkedRun(engine, options.quick ? 1000 : 10_000);
  const ready = await perReadyToken(engine);
  const busy = workOf(fan(50));
  await engine.submit(busy);
  await engine.submitMany(busy, options.quick ? 50 : 500);
  const rss = await highestOf(engine.worker.pid, () =>
    engine.redis.zcard(partitionKeys(0).release),
  );
  return [
    figure("Redis per waiting run", parked, "bytes"),
    figure("Redis per ready token with 50 bytes of input", ready, "bytes"),
    figure("worker of concurrency 100, resident", round(rss / MIB, 1), "MB"),
  ];
}

const MIB = 1024 * 1024;
const WATCH_TIMES = 40;

/** The most that a process had while it worked. */
async function highestOf(pid: number, look: () => Promise<unknown>): Promise<number> {
  let highest = 0;
  for (let i = 0; i < WATCH_TIMES; i++) {
    await look();
    highest = Math.max(highest, residentBytes(pid));
    await pause(50);
  }
  return highest;
}

async function perParkedRun(engine: Engine, runs: number): Promise<number> {
  const { redis } = engine;
  const work = { document: parkedDocument(HOUR_MS), steps: 1 };
  await engine.submit(work);
  await engine.submitMany(work, 50);
  await untilTimers(redis, 51);
  const before = await usedBytes(redis);
  await engine.submitMany(work, runs);
  await untilTimers(redis, 51 + runs);
  return round(((await usedBytes(redis)) - before) / runs, 0);
}

async function untilTimers(redis: Redis, count: number): Promise<void> {
  while ((await redis.zcard(partitionKeys(0).timers)) < count) {
    await pause(20);
  }
}

/** Stream entry, record in the run's hash, and a share of both keys. */
async function perReadyToken(engine: Engine): Promise<number> {
  const { redis } = engine;
  const queue = partitionKeys(0).queue("bench:unread", "normal");
  const work = { document: unreadDocument(UNREAD) };
  await engine.submit(work);
  await untilLength(redis, queue, UNREAD);
  const before = await usedBytes(redis);
  await engine.submit(work);
  await untilLength(redis, queue, 2 * UNREAD);
  return round(((await usedBytes(redis)) - before) / UNREAD, 0);
}

async function untilLength(redis: Redis, stream: string, length: number): Promise<void> {
  while ((await redis.xlen(stream)) < length) {
    await pause(20);
  }
}

/** Bytes of Redis in use without the journal, the scratch memory of connections settled. */
export async function usedBytes(redis: Redis, partitions = 1): Promise<number> {
  await pause(SETTLE_MS);
  const info = await redis.info("memory");
  const field = (name: string): number => Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1] ?? 0);
  const outside = ["mem_clients_normal", "mem_aof_buffer", "used_memory_scripts_eval"];
  const used = outside.reduce((sum, name) => sum - field(name), field("used_memory"));
  let journal = 0;
  for (let p = 0; p < partitions; p++) {
    journal += (await redis.memory("USAGE", partitionKeys(p).ev, "SAMPLES", 0)) ?? 0;
  }
  return used - journal;
}

/** Resident memory of a process; 0 where /proc is not. */
export function residentBytes(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
