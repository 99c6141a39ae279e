/**
 * Renews leases while the worker's event loop is blocked (21 B4): a handler that computes for longer
 * than a lease would lose its entry, and every other entry of the process, to another worker.
 *
 * A thread with a connection of its own. While the event loop turns it only looks at a number. When
 * that stands still for a quarter of the lease, it renews what the table says is held: explicit ids,
 * never "what is pending for us". Not for ever: an entry's node may have a time limit, and a process
 * that has stood still for `blockedMsMax` is given up, so that a handler in an endless loop loses
 * its entry to a worker that will call it poison.
 */
import { parentPort, workerData } from "node:worker_threads";
import { setTimeout as sleep } from "node:timers/promises";
import { connectRedis, renewLeases, ScriptRunner } from "../sdk/internal.ts";
import type { GuardedLane, ThreadData } from "./lease-guard.ts";
import { LeaseTable } from "./lease-table.ts";

/** Looks per lease, and the share of it after which the event loop counts as blocked. */
const LOOKS = 12;
const BLOCKED_SHARE = 1 / 4;

const data = workerData as ThreadData;
const redis = connectRedis(data.redis, `worker:${data.consumer}:leases`);
/** The worker's monotonic clock: both threads count from the same. */
function nowMs(): number {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1000 + nanos / 1e6 - data.clockOffsetMs;
}

interface Lane {
  table: LeaseTable;
  scripts: ScriptRunner;
}

async function renew({ table, scripts }: Lane): Promise<void> {
  const silentMs = nowMs() - table.beatMs;
  if (silentMs < data.leaseMs * BLOCKED_SHARE || silentMs > data.blockedMsMax) {
    return;
  }
  for (const [queueKey, ids] of table.held(nowMs())) {
    await renewLeases(scripts, queueKey, data.consumer, ids);
  }
}

/** Each lane by itself: where a server is away, the lanes of the others go on. */
async function guard({ queues, buffer, partition }: GuardedLane): Promise<never> {
  const scripts = new ScriptRunner({ redis, deployment: data.deployment, partition });
  const lane = { table: new LeaseTable(queues, buffer), scripts };
  for (;;) {
    await sleep(data.leaseMs / LOOKS);
    // Redis may be away or not certified: the next look tries again.
    await renew(lane).catch(() => undefined);
  }
}

parentPort?.on("message", (lane: GuardedLane) => void guard(lane));
await redis.connect().catch(() => undefined);
