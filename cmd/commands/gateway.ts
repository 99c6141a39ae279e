/** `gavotte gateway`: serves the live feed until told to stop. */
import type { Context } from "../context.ts";
import { createLogger } from "../logger.ts";
import { gatewayOf, supervisorOf } from "../roles.ts";
import { serve } from "../serve.ts";
import { openStack } from "../stack.ts";

/** Serves the feed on the configured address; any number of gateways may run. */
export async function gateway(context: Context): Promise<number> {
  const config = await context.config();
  const logger = createLogger(config);
  const stack = await openStack(context, {
    config,
    logger,
    roles: async (opened) => [await supervisorOf({ config, logger, stack: opened })],
  });
  try {
    const service = gatewayOf({ config, logger, stack }, false);
    const ready = (metrics_url: string | null): void => {
      logger.info({ role: "gateway", url: service.url() }, "gateway runs");
      context.output.line(service.url());
      context.output.document({ gateway_url: service.url(), metrics_url });
    };
    const log = logger.child({ role: "gateway" });
    const services = [service];
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
