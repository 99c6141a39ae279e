/** Starts and ends the thread that renews a worker's leases for a blocked event loop. */
import type { Logger } from "pino";
import { startThread, type RedisTarget } from "../sdk/internal.ts";

/** One partition's entries. */
export interface GuardedLane {
  partition: number;
  /** Every stream that the lane reads, in the order of the table. */
  queues: readonly string[];
  buffer: SharedArrayBuffer;
}

/** What the thread is given. */
export interface ThreadData {
  redis: RedisTarget;
  deployment: string;
  consumer: string;
  leaseMs: number;
  /** A process that stands still for longer is given up, ms. */
  blockedMsMax: number;
  /** `process.hrtime` minus the worker's monotonic clock, ms. */
  clockOffsetMs: number;
}

/** It looks at a number now and then: without a limit its modules' load alone leaves 16 MB behind. */
const YOUNG_MB = 1;

export interface LeaseGuard {
  /** Also of a partition that comes later, when its server is back. */
  guard(lane: GuardedLane): void;
  stop(): Promise<void>;
}

/** Starts the thread. Should it fail, the event loop goes on renewing by itself, as without it. */
export function guardLeases(
  options: Omit<ThreadData, "clockOffsetMs">,
  logger: Logger,
): LeaseGuard {
  const [seconds, nanos] = process.hrtime();
  const clockOffsetMs = seconds * 1000 + nanos / 1e6 - performance.now();
  const workerData: ThreadData = { ...options, clockOffsetMs };
  const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_MB };
  const about = { workerData, resourceLimits, name: "leases" };
  const thread = startThread("lease-thread", import.meta.url, about);
  thread.unref();
  thread.on("error", (error) => {
    logger.error(
      { err: error },
      "the lease thread has ended: a blocked event loop loses its leases",
    );
  });
  return {
    guard: (lane) => thread.postMessage(lane),
    stop: async () => void (await thread.terminate()),
  };
}
