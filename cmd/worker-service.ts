/**
 * A worker as a long-running process has it: made when it is started, because it needs a deployment
 * that a supervisor may only be making, and with an entry in the registry of workers.
 */
import { randomBytes } from "node:crypto";
import { stopAll, systemClock, type Service } from "../sdk/internal.ts";
import { createHeartbeat } from "./heartbeat.ts";
import { workerId, workerOf, type WorkerRole } from "./roles.ts";

export interface WorkerService extends Service {
  readonly id: string;
  /** Names of the queues that it reads; empty before the start. */
  queues(): readonly string[];
}

/** Makes the service. */
export function createWorkerService(role: Omit<WorkerRole, "id">): WorkerService {
  const id = workerId(randomBytes(3).toString("hex"));
  const parts: Service[] = [];
  let queues: readonly string[] = [];
  return {
    id,
    name: "worker",
    queues: () => queues,
    async start() {
      const { config, logger, stack } = role;
      const worker = await workerOf({ ...role, id });
      queues = worker.queues;
      const { worker_concurrency: concurrency } = config.values;
      const beat = { db: stack.db, worker, id, concurrency, clock: systemClock, logger };
      for (const part of [worker, createHeartbeat(beat)]) {
        parts.push(part);
        await part.start();
      }
      logger.info({ role: "worker", worker: id, queues }, "worker runs");
    },
    stop: (deadlineMs) => stopAll(parts.splice(0), deadlineMs),
  };
}
