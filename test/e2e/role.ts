/** One role as a process of its own, for tests that kill it: `role.ts <role> <options as JSON>`. */
import { pino } from "pino";
import { connectRedis, globalKeys } from "../../sdk/internal.ts";
import { connectPostgres } from "../../sdk/postgres/index.ts";
import { createSupervisor } from "../../supervisor/index.ts";
import { createWorker, FunctionRegistry } from "../../worker/index.ts";
import { RECOVERY_FUNCTIONS } from "../recovery/functions.ts";

export interface RoleOptions {
  redisUrl: string;
  databaseUrl: string;
  singleSession: boolean;
  leaseMs: number;
  id: string;
  /** See WorkerOptions; 0 unless told. */
  blockedMsMax?: number;
}

const role = process.argv[2];
const options = JSON.parse(process.argv[3] ?? "{}") as RoleOptions;
const logger = pino({ level: process.env["GAVOTTE_TEST_LOG"] ?? "silent" }, pino.destination(2));
const { redisUrl, singleSession, leaseMs, id } = options;

if (role === "supervisor") {
  const database = connectPostgres({ url: options.databaseUrl, singleSession });
  await createSupervisor({ redisUrl, database, logger, id }).start();
} else {
  const redis = connectRedis({ url: redisUrl }, "role");
  const deployment = (await redis.hget(globalKeys.deployment, "id")) as string;
  redis.disconnect();
  const registry = new FunctionRegistry();
  RECOVERY_FUNCTIONS.forEach(([name, handler]) => registry.register(name, handler));
  const { blockedMsMax = 0 } = options;
  const worker = createWorker({
    ...{ redis: { url: redisUrl }, deployment, partitions: 1, registry, logger, id, leaseMs },
    blockedMsMax,
  });
  await worker.start();
}
process.send?.("up");
