/** `gavotte dev`: the whole engine in one process, on the embedded stack or on your services. */
import type { Service } from "../../sdk/internal.ts";
import { migrate } from "../../sdk/postgres/index.ts";
import { shownValue } from "../config.ts";
import type { Context } from "../context.ts";
import { createLogger } from "../logger.ts";
import { gatewayOf, registryOf, supervisorOf, type Feed } from "../roles.ts";
import { serve } from "../serve.ts";
import { openStack, type Stack } from "../stack.ts";
import { createWorkerService } from "../worker-service.ts";

/** Runs everything until an interrupt, and says where it can be reached. */
export async function dev(context: Context): Promise<number> {
  const config = await context.config();
  const registry = await registryOf(config.values.functions);
  const logger = createLogger(config, "warn");
  const feed: { gateway: Feed | null } = { gateway: null };
  const roles = async (opened: Stack): Promise<Service[]> => {
    const role = { config, logger, stack: opened };
    feed.gateway = gatewayOf(role, false);
    return [await supervisorOf(role), feed.gateway];
  };
  const stack = await openStack(context, { config, logger, roles });
  try {
    const own: Service[] = [];
    if (stack.embedded === null) {
      await migrate(stack.db);
      own.push(...(await roles(stack)));
    }
    const services = [...own, createWorkerService({ config, logger, stack, registry })];
    const ready = (metricsUrl: string | null): void => {
      const gatewayUrl = feed.gateway?.url() ?? null;
      tellReady(context, stack, { gatewayUrl, metricsUrl, functions: registry.names().length });
    };
    return await serve(context, { config, stack, services, ready, metricsLogger: logger });
  } finally {
    await stack.stop();
  }
}

interface Running {
  gatewayUrl: string | null;
  metricsUrl: string | null;
  functions: number;
}

function tellReady(context: Context, stack: Stack, running: Running): void {
  const { gatewayUrl: gateway_url, metricsUrl: metrics_url, functions } = running;
  const { output } = context;
  const redis_url = String(shownValue("redis_url", stack.redisUrl));
  // What it says of a user is the same everywhere and opens nothing: the socket's folder does.
  const database_url = stack.embedded?.databaseUrl ?? "as configured";
  output.line(`redis     ${redis_url}`);
  output.line(`database  ${database_url}`);
  output.line(`gateway   ${gateway_url ?? "runs in the process that owns the stack"}`);
  void (metrics_url !== null && output.line(`metrics   ${metrics_url}/metrics`));
  output.line(`functions ${functions}`);
  output.note("running; Ctrl-C stops");
  output.document({ redis_url, database_url, gateway_url, metrics_url, functions });
}
