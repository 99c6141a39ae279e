/**
 * Memory: what waiting runs and ready tokens take in Redis, and the worker's own. The journal's
 * tail is bounded and belongs to no run, so it is left out.
 */
import { readFileSync } from "node:fs";
import { pause } from "../cmd/embedded/sockets.ts";
import { partitionKeys, type Redis } from "../sdk/internal.ts";
import type { Engine } from "./engine.ts";
import type { BenchOptions } from "./options.ts";
import type { FigureRow } from "./rows.ts";
import { round } from "./usage.ts";
import { parkedDocument, unreadDocument } from "./workloads.ts";

const HOUR_MS = 3_600_000;
const SETTLE_MS = 1500;
/** Tokens of one run that nobody reads. */
const UNREAD = 5000;

/** Leaves runs behind that wait for an hour: run it last. */
export async function measureMemory(engine: Engine, options: BenchOptions): Promise<FigureRow[]> {
  const rss = residentBytes(engine.worker.pid) / 1024 / 1024;
  const parked = await perParkedRun(engine, options.quick ? 1000 : 10_000);
  const ready = await perReadyToken(engine);
  return [
    figure("Redis per waiting run", parked, "bytes", 1536),
    figure("Redis per ready token with 50 bytes of input", ready, "bytes", 400),
    figure("worker's resident memory after the rows above", round(rss, 1), "MB", null),
  ];
}

function figure(name: string, value: number, unit: string, atMost: number | null): FigureRow {
  return { kind: "figure", name, value, unit, budget: atMost === null ? null : { atMost } };
}

async function perParkedRun(engine: Engine, runs: number): Promise<number> {
  const { redis } = engine;
  const document = parkedDocument(HOUR_MS);
  await engine.submit(document);
  await engine.submitMany(document, 50);
  await untilTimers(redis, 51);
  const before = await usedBytes(redis);
  await engine.submitMany(document, runs);
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
  const document = unreadDocument(UNREAD);
  await engine.submit(document);
  await untilLength(redis, queue, UNREAD);
  const before = await usedBytes(redis);
  await engine.submit(document);
  await untilLength(redis, queue, 2 * UNREAD);
  return round(((await usedBytes(redis)) - before) / UNREAD, 0);
}

async function untilLength(redis: Redis, stream: string, length: number): Promise<void> {
  while ((await redis.xlen(stream)) < length) {
    await pause(20);
  }
}

/** Bytes in use without the journal, the scratch memory of connections settled. */
async function usedBytes(redis: Redis): Promise<number> {
  await pause(SETTLE_MS);
  const info = await redis.info("memory");
  const field = (name: string): number => Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1] ?? 0);
  const outside = ["mem_clients_normal", "mem_aof_buffer", "used_memory_scripts_eval"];
  const used = outside.reduce((sum, name) => sum - field(name), field("used_memory"));
  const journal = (await redis.memory("USAGE", partitionKeys(0).ev, "SAMPLES", 0)) ?? 0;
  return used - journal;
}

function residentBytes(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
