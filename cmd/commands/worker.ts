/** `gavotte worker`: executes steps until it is told to stop. */
import type { Context } from "../context.ts";
import { createLogger } from "../logger.ts";
import { readNamespace } from "../read-namespace.ts";
import { registryOf } from "../roles.ts";
import { serve } from "../serve.ts";
import { openStack } from "../stack.ts";
import { createWorkerService } from "../worker-service.ts";

/** Serves the functions of the configured modules, and all other node kinds. */
export async function worker(
  context: Context,
  flags: { queue?: string[]; namespace?: string },
): Promise<number> {
  const config = await context.config();
  const namespace = flags.namespace === undefined ? "" : readNamespace(flags.namespace);
  const registry = await registryOf(config.values.functions);
  const logger = createLogger(config);
  const stack = await openStack(context, { config, logger });
  try {
    const queues = flags.queue ?? [];
    const service = createWorkerService({ config, logger, stack, registry, namespace, queues });
    const ready = (metrics_url: string | null): void =>
      context.output.document({ worker: service.id, queues: service.queues(), metrics_url });
    const services = [service];
    const log = logger.child({ role: "worker" });
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
