/**
 * A process that runs until it is told to stop: its services are started in order and stopped in
 * reverse. Being told to stop is how it is meant to end, so its exit code is then 0.
 */
import type { Logger } from "pino";
import { startAll, type Service } from "../sdk/internal.ts";
import type { Config } from "./config.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { stopServices, type Stack } from "./stack.ts";

export interface ServeOptions {
  config: Config;
  stack: Stack;
  services: readonly Service[];
  /** Called when everything runs. */
  ready: () => void;
  /** A service's own: what it says where nobody sits before it are lines of this. */
  logger?: Logger;
}

/** Serves until an interrupt, or until the embedded stack is lost, which is an error. */
export async function serve(context: Context, options: ServeOptions): Promise<number> {
  const { stack, services, config, ready, logger } = options;
  try {
    // What a start waits for may never come: whoever is told to stop stops then, too.
    const starting = startAll(services, config.values.shutdown_ms);
    const told = aborted(stack.signal);
    await Promise.race([starting, told]);
    void (stack.signal.aborted || ready());
    await told;
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
