/**
 * What a worker says when an error that nobody caught ends its process: whose it may have been.
 *
 * Node ends the process, as it should: nobody knows what such an error leaves behind. But its last words
 * are a bare stack, which names no run and no node. It came from one of the functions that were being
 * executed, most likely; or from one that has answered, and left something behind.
 */
import type { Logger } from "pino";
import { toldError } from "../sdk/internal.ts";
import type { Worker } from "../worker/index.ts";

/** Steps that are named: what has been executed for longest. */
const NAMED_MAX = 20;
const STRAY =
  "an error that nobody caught ends this worker; others take over what it was executing. A function " +
  "must await what it begins, and listen for the errors of what it opens";

/** The same worker, which speaks its last words from its start until it is stopped. */
export function withLastWords(worker: Worker, id: string, logger: Logger): Worker {
  const speak = (error: unknown): void => {
    const executing = worker.executing();
    const named = executing.slice(0, NAMED_MAX);
    logger.fatal(
      { err: toldError(error), worker: id, steps: executing.length, executing: named },
      STRAY,
    );
  };
  return {
    name: worker.name,
    queues: worker.queues,
    inFlight: () => worker.inFlight(),
    executing: () => worker.executing(),
    facts: () => worker.facts(),
    ping: () => worker.ping(),
    start: async () => {
      process.on("uncaughtExceptionMonitor", speak);
      await worker.start().catch((error: unknown) => {
        process.off("uncaughtExceptionMonitor", speak);
        throw error;
      });
    },
    stop: async (deadlineMs) => {
      await worker.stop(deadlineMs).finally(() => process.off("uncaughtExceptionMonitor", speak));
    },
  };
}
