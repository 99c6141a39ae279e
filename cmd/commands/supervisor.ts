/** `gavotte supervisor`: takes submissions in, archives runs, fires timers, until told to stop. */
import { GavotteError } from "../../sdk/internal.ts";
import type { Context } from "../context.ts";
import { createLogger } from "../logger.ts";
import { supervisorOf } from "../roles.ts";
import { serve } from "../serve.ts";
import { openStack } from "../stack.ts";

/** Serves as a supervisor; any number of them share the work. */
export async function supervisor(context: Context): Promise<number> {
  const config = await context.config();
  const logger = createLogger(config);
  const stack = await openStack(context, { config, logger });
  try {
    if (stack.embedded?.owner === false) {
      const message =
        `process ${stack.embedded.ownerPid} runs the embedded stack and its supervisor; ` +
        "set redis_url and database_url for one of your own services";
      throw new GavotteError("GV_BAD_CONFIG", message);
    }
    // The owner of the embedded stack runs one anyway.
    const services = stack.embedded === null ? [await supervisorOf({ config, logger, stack })] : [];
    const ready = (metrics_url: string | null): void => {
      logger.info({ role: "supervisor" }, "supervisor runs");
      context.output.document({ supervisor: process.pid, metrics_url });
    };
    const log = logger.child({ role: "supervisor" });
    return await serve(context, {
      config,
      stack,
      services,
      ready,
      logger: log,
      metricsLogger: log,
    });
  } finally {
    await stack.stop();
  }
}
