/** The long-running parts, made of a configuration. Each is loaded when it is wanted. */
import { hostname } from "node:os";
import type { Logger } from "pino";
import { errorCode, GavotteError, type Service } from "../sdk/internal.ts";
import { assertSchema } from "../sdk/postgres/index.ts";
import type { Gateway } from "../gateway/index.ts";
import type { FunctionRegistry, Worker } from "../worker/index.ts";
import type { Config } from "./config.ts";
import { withLastWords } from "./last-words.ts";
import { secretsOf } from "./secrets.ts";
import type { Stack } from "./stack.ts";

/** Addresses of this machine: what http nodes of a local run may reach besides the public ones. */
const LOOPBACK = ["localhost", "127.0.0.0/8", "::1"];
/** For a first supervisor to make the deployment. */
export const DEPLOYMENT_WAIT_MS = 30_000;
const HOUR_MS = 3_600_000;

export interface RoleContext {
  config: Config;
  logger: Logger;
  stack: Stack;
}

/** A supervisor on the stack's services. */
export async function supervisorOf({ config, logger, stack }: RoleContext): Promise<Service> {
  const { createSupervisor } = await import("../supervisor/index.ts");
  const { partitions, stalled_after_ms: stalledAfterMs } = config.values;
  const { audit_runs_per_minute: auditRunsPerMinute, tenant_runs_max } = config.values;
  const { hibernate_after_ms: hibernateAfterMs } = config.values;
  const { retention_hours, retention_letters_hours } = config.values;
  const endedMs = retention_hours * HOUR_MS;
  const lettersMs = retention_letters_hours * HOUR_MS;
  const supervisor = createSupervisor({
    redisUrl: stack.redisUrl,
    database: stack.db,
    logger: logger.child({ role: "supervisor" }),
    stalledAfterMs,
    auditRunsPerMinute,
    tenantRunsMax: tenant_runs_max,
    hibernateAfterMs,
    ...(endedMs > 0 && { retention: { endedMs, lettersMs } }),
    ...(partitions === null ? {} : { partitions }),
  });
  stack.watched.supervisors.push(supervisor);
  return supervisor;
}

export interface Feed extends Service {
  url(): string;
}

/** A gateway; `anyPort` ignores the configured address and takes a free port of this machine. */
export function gatewayOf(role: RoleContext, anyPort: boolean): Feed {
  const { config, logger, stack } = role;
  const { host, port } = listenAddress(anyPort ? "127.0.0.1:0" : config.values.gateway_listen);
  let gateway: Gateway | null = null;
  return {
    name: "gateway",
    async start() {
      const { createGateway } = await import("../gateway/index.ts");
      await checkSchema(role);
      // Known only once a supervisor has run, so not before the start.
      const { partitions } = await (await stack.client()).deployment(DEPLOYMENT_WAIT_MS);
      const log = logger.child({ role: "gateway" });
      const { api_keys: apiKeys, submit_timeout_ms: submitTimeoutMs } = config.values;
      const address = { host, port, redisUrl: stack.redisUrl, apiKeys, submitTimeoutMs };
      gateway = createGateway({ ...address, db: stack.db, partitions, logger: log });
      stack.watched.gateways.push(gateway);
      try {
        await gateway.start();
      } catch (error) {
        throw portError(error, host, port);
      }
      if (stack.embedded?.owner === true) {
        stack.embedded.announceGateway(gateway.url());
      }
    },
    stop: (deadlineMs) => gateway?.stop(deadlineMs) ?? Promise.resolve(),
    url: () => gateway?.url() ?? "",
  };
}

/** `host:port` taken apart; an IPv6 address stands in brackets. */
export function listenAddress(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(text.slice(at + 1)) };
}

function portError(error: unknown, host: string, port: number): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== "EADDRINUSE" && code !== "EACCES" && code !== "EADDRNOTAVAIL") {
    return error;
  }
  const text = `the gateway cannot listen on ${host}:${port} (${message}); set gateway_listen`;
  return new GavotteError("GV_BAD_CONFIG", text, { cause: error });
}

export interface WorkerRole extends RoleContext {
  registry: FunctionRegistry;
  id: string;
  namespace?: string;
  queues?: readonly string[];
}

/** A worker on the stack; it waits for a first supervisor. */
export async function workerOf(role: WorkerRole): Promise<Worker> {
  const { config, logger, stack, registry, id, namespace, queues } = role;
  const { createWorker } = await import("../worker/index.ts");
  const { createHttpClient } = await import("../worker/index.ts");
  const { storedFacts } = await import("../sdk/postgres/index.ts");
  await checkSchema(role);
  const client = await stack.client();
  const { id: deployment, partitions } = await client.deployment(DEPLOYMENT_WAIT_MS);
  const { worker_concurrency: concurrency, lease_ms: leaseMs, deliveries_max } = config.values;
  const { blocked_ms_max: blockedMsMax } = config.values;
  const local = stack.embedded === null ? [] : LOOPBACK;
  const secrets = secretsOf(process.env);
  const log = logger.child({ role: "worker" });
  const worker = createWorker({
    redis: { url: stack.redisUrl },
    ...{
      deployment,
      partitions,
      registry,
      id,
      concurrency,
      leaseMs,
      blockedMsMax,
      deliveriesMax: deliveries_max,
    },
    logger: log,
    stored: storedFacts(stack.db),
    secrets: () => secrets,
    http: createHttpClient({ allow: [...local, ...config.values.http_allow] }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(queues === undefined ? {} : { queues }),
  });
  stack.watched.workers.push(worker);
  return withLastWords(worker, id, log);
}

/**
 * Throws GV_SCHEMA_OUTDATED. A database that is away is no reason not to start: neither needs it for
 * what is under way, and it is the supervisors who write to it.
 */
async function checkSchema({ stack, logger }: RoleContext): Promise<void> {
  try {
    await assertSchema(stack.db);
  } catch (error) {
    if (errorCode(error) !== "GV_DATABASE_UNAVAILABLE") {
      throw error;
    }
    logger.warn({ err: error }, "the database's schema was not checked");
  }
}

/** A name for a worker of this process. */
export function workerId(suffix: string): string {
  return `${hostname()}-${process.pid}-${suffix}`;
}

/** The functions of the configured modules. Throws GV_FUNCTIONS_INVALID. */
export async function registryOf(modules: readonly string[]): Promise<FunctionRegistry> {
  const { FunctionRegistry, loadFunctions } = await import("../worker/index.ts");
  const registry = new FunctionRegistry();
  for (const path of modules) {
    for (const { name, handler } of await loadFunctions(path)) {
      registry.register(name, handler);
    }
  }
  return registry;
}
