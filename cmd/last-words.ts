/**
 * What a worker says when an error that nobody caught ends its process, or a function that calls
 * `process.exit`: whose it may have been.
 *
 * Node ends the process, as it should: nobody knows what such an error leaves behind. But its last words
 * are a bare stack, which names no run and no node. It came from one of the functions that were being
 * executed, most likely; or from one that has answered, and left something behind. And who exits says
 * nothing at all: the listener runs inside of that call, so its own stack tells the place.
 */
import type { Logger } from "pino";
import { toldError } from "../sdk/internal.ts";
import type { Worker } from "../worker/index.ts";
import { endsByUs } from "./exit.ts";

/** Steps that are named: what has been executed for longest. */
const NAMED_MAX = 20;
const STRAY =
  "an error that nobody caught ends this worker; others take over what it was executing. A function " +
  "must await what it begins, and listen for the errors of what it opens";
const EXITED =
  "process.exit was called, which ends this worker; others take over what it was executing. A " +
  "function that cannot go on must throw: that fails its step and nothing else";

/** The same worker, which speaks its last words from its start until it is stopped. */
export function withLastWords(worker: Worker, id: string, logger: Logger): Worker {
  let hasSpoken = false;
  const speak = (error: unknown, words: string): void => {
    hasSpoken = true;
    const executing = worker.executing();
    const named = executing.slice(0, NAMED_MAX);
    const err = toldError(error);
    logger.fatal({ err, worker: id, steps: executing.length, executing: named }, words);
  };
  const onStray = (error: unknown): void => speak(error, STRAY);
  // Node emits it after an error that nobody caught, too, and when we end the process ourselves.
  const onExit = (code: number): void => {
    if (!hasSpoken && !endsByUs()) speak(new Error(`the process exits with ${code}`), EXITED);
  };
  const listen = (): void => {
    process.on("uncaughtExceptionMonitor", onStray);
    process.on("exit", onExit);
  };
  const unlisten = (): void => {
    process.off("uncaughtExceptionMonitor", onStray);
    process.off("exit", onExit);
  };
  return {
    name: worker.name,
    queues: worker.queues,
    inFlight: () => worker.inFlight(),
    executing: () => worker.executing(),
    facts: () => worker.facts(),
    ping: () => worker.ping(),
    start: async () => {
      listen();
      await worker.start().catch((error: unknown) => {
        unlisten();
        throw error;
      });
    },
    stop: async (deadlineMs) => {
      await worker.stop(deadlineMs).finally(unlisten);
    },
  };
}
