/** The commands for processes that serve, and for what they stand on: schema, configuration, health. */
import type { Command } from "commander";
import { OPTION_SPECS, type OptionName } from "./config-options.ts";
import type { Define } from "./define.ts";

const WORKER = [
  "functions",
  "http_allow",
  "worker_concurrency",
  "lease_ms",
  "blocked_ms_max",
  "deliveries_max",
] as const;
const METRICS = ["metrics_port", "metrics_host"] as const;
const SUPERVISOR = [
  "partitions",
  "stalled_after_ms",
  "audit_runs_per_minute",
  "tenant_runs_max",
  "hibernate_after_ms",
  "retention_hours",
  "retention_letters_hours",
] as const;
const GATEWAY = ["gateway_listen", "api_keys"] as const;

export function addRoleCommands(
  program: Command,
  services: readonly OptionName[],
  define: Define,
): void {
  const common = [...services, "database_connections_max", "shutdown_ms"] as const;
  const all = [...common, ...METRICS, ...WORKER, ...SUPERVISOR, ...GATEWAY] as const;
  define(program, "dev", "the whole engine in one process", all, async (c) =>
    (await import("./commands/dev.ts")).dev(c),
  );
  define(
    program,
    "worker",
    "execute steps",
    [...common, ...METRICS, ...WORKER],
    async (c, _args, flags) => (await import("./commands/worker.ts")).worker(c, flags),
  )
    .option("--queue <name...>", "more queues to read")
    .option("--namespace <name>", "serve only runs of this namespace");
  define(
    program,
    "supervisor",
    "take submissions in and archive runs",
    [...common, ...METRICS, ...SUPERVISOR],
    async (c) => (await import("./commands/supervisor.ts")).supervisor(c),
  );
  define(
    program,
    "gateway",
    "serve REST and the live feed",
    [...common, ...METRICS, ...GATEWAY],
    async (c) => (await import("./commands/gateway.ts")).gateway(c),
  );
  define(
    program,
    "migrate",
    "bring the database's schema up to date",
    common,
    async (c, _args, flags) => (await import("./commands/migrate.ts")).migrateCommand(c, flags),
  ).option("--grant <role>", "give this database role the rights that the engine needs");
  const every = Object.keys(OPTION_SPECS) as OptionName[];
  define(
    program,
    "config",
    "the configuration in force, and where it comes from",
    every,
    async (c) => (await import("./commands/config.ts")).showConfig(c),
  );
  define(
    program,
    "doctor",
    "check services, schema, workers and runs",
    common,
    async (c, _args, flags) => (await import("./commands/doctor.ts")).doctor(c, flags),
  )
    .option("--audit", "account for every token: Redis against journal and rows")
    .option("--run <run>", "audit this run only")
    .option("--repair", "rebuild what is off from the journal, remove what belongs to no run");
}
