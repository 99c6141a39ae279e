/**
 * A process that runs until it is told to stop: its services are started in order and stopped in
 * reverse. Being told to stop is how it is meant to end, so its exit code is then 0.
 */
import type { Logger } from "pino";
import { startAll, type Service } from "../sdk/internal.ts";
import type { Config } from "./config.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { metricsOf } from "./metrics/index.ts";
import { stopServices, type Stack } from "./stack.ts";

export interface ServeOptions {
  config: Config;
  stack: Stack;
  services: readonly Service[];
  /** Called when everything runs; with where metrics are served, null if they are not. */
  ready: (metricsUrl: string | null) => void;
  /** What serving metrics says. */
  metricsLogger: Logger;
  /** A service's own: what it says where nobody sits before it are lines of this. */
  logger?: Logger;
}

/** Serves until an interrupt, or until the embedded stack is lost, which is an error. */
export async function serve(context: Context, options: ServeOptions): Promise<number> {
  const { stack, config, ready, logger, metricsLogger } = options;
  let isRunning = false;
  const metrics = metricsOf({
    ...{ config, logger: metricsLogger, db: stack.db, watched: stack.watched },
    isRunning: () => isRunning,
  });
  // First: a port that is taken is told before anything begins, and a start can be watched.
  const services = metrics === null ? options.services : [metrics, ...options.services];
  try {
    // What a start waits for may never come: whoever is told to stop stops then, too.
    const starting = startAll(services, config.values.shutdown_ms);
    const told = aborted(stack.signal);
    await Promise.race([starting, told]);
    isRunning = !stack.signal.aborted;
    void (isRunning && ready(metrics?.url() ?? null));
    await told;
    isRunning = false;
    if (!context.signal.aborted) {
      throw stack.signal.reason;
    }
    if (logger === undefined || context.output.isLive) {
      context.output.note("stopping; interrupt again to stop at once");
    } else {
      logger.info({ shutdownMs: config.values.shutdown_ms }, "stopping");
    }
    return EXIT.done;
  } finally {
    await stopServices(stack, services, config.values.shutdown_ms);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // Nothing else may be left that keeps the process: the timer does.
    const keep = setInterval(() => undefined, 60_000);
    const end = (): void => {
      clearInterval(keep);
      resolve();
    };
    if (signal.aborted) {
      end();
    } else {
      signal.addEventListener("abort", end, { once: true });
    }
  });
}
