/**
 * A worker's entry in the registry of workers. A worker knows only Redis; its process, which knows
 * Postgres too, tells that it lives. The registry is for people: no decision rests on it.
 */
import { hostname } from "node:os";
import type { Logger } from "pino";
import type { Clock, Service } from "../sdk/internal.ts";
import { removeWorker, reportWorker, type Database } from "../sdk/postgres/index.ts";
import type { Worker } from "../worker/index.ts";

export interface HeartbeatOptions {
  db: Database;
  worker: Worker;
  id: string;
  concurrency: number;
  clock: Clock;
  logger: Logger;
}

const HEARTBEAT_MS = 5000;

/** Reports a worker every HEARTBEAT_MS, and takes it off the list when stopped. */
export function createHeartbeat(options: HeartbeatOptions): Service {
  const { db, worker, id, concurrency, clock, logger } = options;
  const startedAtMs = clock.nowMs();
  let timer: NodeJS.Timeout | null = null;
  let beating: Promise<void> = Promise.resolve();
  const beat = async (): Promise<void> => {
    const { pid } = process;
    const state = { queues: [...worker.queues], inFlight: worker.inFlight() };
    const about = { id, host: hostname(), pid, concurrency, startedAtMs };
    await reportWorker(db, { ...about, ...state }).catch((error: unknown) =>
      logger.warn({ err: error }, "the worker could not report that it lives"),
    );
  };
  return {
    name: "heartbeat",
    async start() {
      await beat();
      timer = setInterval(() => {
        // One at a time: while Postgres is slow, beats do not pile up.
        beating = beating.then(beat);
      }, HEARTBEAT_MS);
    },
    async stop() {
      if (timer !== null) {
        clearInterval(timer);
        timer = null;
        await beating;
        await removeWorker(db, id).catch(() => undefined);
      }
    },
  };
}
