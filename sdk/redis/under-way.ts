/**
 * Which tokens are being executed now, everywhere: what workers hold and keep renewing.
 *
 * An entry that a worker has read is pending for it until it is settled, and its idle time stays below
 * the lease as long as the worker lives. One that was handed back, or whose worker died a lease ago, is
 * idle for longer: nobody executes it. A worker that reads queues asks at least once a second, so one
 * that has not asked for longer has stopped reading, or is gone.
 */
import type { Redis } from "ioredis";
import { ALL_QUEUES, GROUP, partitionKeys } from "../keys.ts";
import { connectionAt } from "./cluster-router.ts";

export interface UnderWay {
  /** Tokens in execution by worker; of one queue at most ENTRIES_MAX are counted. */
  executing: Map<string, number>;
  /** Workers that have read a queue within the last moment. */
  reading: Set<string>;
}

const ENTRIES_MAX = 1000;
const SCAN_PAGE = 1000;
/** Longer than a worker's read blocks, and what comes between two of them. */
const READING_MS = 2500;

type Pending = [id: string, consumer: string, idleMs: number, deliveries: number];

/** Streams of all queues: found by walking the keys of each server once, so for people only. */
export async function queueStreams(redis: Redis, partitions: number): Promise<string[]> {
  const all = Array.from({ length: partitions }, (_, p) => partitionKeys(p));
  const servers = new Set(all.map(({ meta }) => connectionAt(redis, meta)));
  const found = new Set<string>();
  for (const server of servers) {
    let at = "0";
    do {
      const [next, page] = await server.scan(at, "MATCH", ALL_QUEUES, "COUNT", SCAN_PAGE);
      page.forEach((key) => found.add(key));
      at = next;
    } while (at !== "0");
  }
  return [...found].filter((key) => all.some(({ queues }) => key.startsWith(queues))).sort();
}

/** What workers with this lease hold of these streams, and which of them still read. */
export async function underWay(
  redis: Redis,
  streams: readonly string[],
  leaseMs: number,
): Promise<UnderWay> {
  const state: UnderWay = { executing: new Map(), reading: new Set() };
  for (const key of streams) {
    const server = connectionAt(redis, key);
    const [pending, consumers] = await Promise.all([
      server.xpending(key, GROUP, "-", "+", ENTRIES_MAX).catch(withoutGroup),
      server.xinfo("CONSUMERS", key, GROUP).catch(withoutGroup),
    ]);
    for (const [, consumer, idleMs] of pending as Pending[]) {
      if (idleMs < leaseMs) {
        state.executing.set(consumer, (state.executing.get(consumer) ?? 0) + 1);
      }
    }
    for (const flat of consumers as unknown[][]) {
      const at = (name: string): unknown => flat[flat.indexOf(name) + 1];
      if (Number(at("idle")) < READING_MS) {
        state.reading.add(String(at("name")));
      }
    }
  }
  return state;
}

/** A stream or group that is gone since holds nothing. */
function withoutGroup(error: unknown): [] {
  if (error instanceof Error && /^(NOGROUP|ERR no such key)/.test(error.message)) {
    return [];
  }
  throw error;
}
