/** One role as a process of its own, for tests that kill it: `role.ts <role> <options as JSON>`. */
import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { connectRedis, globalKeys, type FunctionHandler } from "../../sdk/internal.ts";
import { createWorker, FunctionRegistry } from "../../worker/index.ts";
import { RECOVERY_FUNCTIONS } from "../recovery/functions.ts";

export interface RoleOptions {
  redisUrl: string;
  databaseUrl: string;
  singleSession: boolean;
  leaseMs: number;
  id: string;
  /** See SupervisorOptions; never unless told. */
  hibernateAfterMs?: number;
  /** See WorkerOptions; 0 unless told. */
  blockedMsMax?: number;
  /** Of a worker. */
  concurrency?: number;
  /** Of a worker; see WorkerOptions. */
  deliveriesMax?: number;
  /** Folder in which every call of a function leaves a line. */
  calls?: string;
  /** Of a supervisor; see SupervisorOptions. */
  backlogRecordsMax?: number;
  /** Of a supervisor; see SupervisorOptions. */
  rolesTimes?: { tryMs?: number; lostMs?: number };
  /** Of a gateway; any free one unless told. */
  port?: number;
  /** Of a supervisor, and of a worker: their limits for the journal's bytes. */
  backlogBytesMax?: number;
}

/** Notes each call before it is made: what is executed twice can be counted afterwards. */
class NotingRegistry extends FunctionRegistry {
  readonly #file: number;
  readonly #wrapped = new Map<string, FunctionHandler>();

  constructor(path: string) {
    super();
    this.#file = openSync(path, "a");
  }

  override get(name: string): FunctionHandler | undefined {
    const handler = super.get(name);
    if (handler === undefined || this.#wrapped.has(name)) {
      return this.#wrapped.get(name);
    }
    const noting: FunctionHandler = (context) => {
      writeSync(this.#file, `${context.idempotencyKey} ${context.attempt}\n`);
      return handler(context);
    };
    this.#wrapped.set(name, noting);
    return noting;
  }
}

const role = process.argv[2];
const options = JSON.parse(process.argv[3] ?? "{}") as RoleOptions;
const logger = pino({ level: process.env["GAVOTTE_TEST_LOG"] ?? "silent" }, pino.destination(2));
const { redisUrl, singleSession, leaseMs, id } = options;

let told = "up";
// Loaded by those who need it: a worker begins in half the time.
if (role === "supervisor") {
  const { connectPostgres } = await import("../../sdk/postgres/index.ts");
  const { createSupervisor } = await import("../../supervisor/index.ts");
  const database = connectPostgres({ url: options.databaseUrl, singleSession });
  await createSupervisor({ ...options, database, logger }).start();
} else if (role === "gateway") {
  const { connectPostgres } = await import("../../sdk/postgres/index.ts");
  const { createGateway } = await import("../../gateway/index.ts");
  const db = connectPostgres({ url: options.databaseUrl, singleSession });
  const gateway = createGateway({
    ...{ port: 0, ...options },
    host: "127.0.0.1",
    db,
    partitions: 1,
    logger,
  });
  await gateway.start();
  told = gateway.url();
} else {
  const redis = connectRedis({ url: redisUrl }, "role");
  const deployment = (await redis.hget(globalKeys.deployment, "id")) as string;
  redis.disconnect();
  const { calls } = options;
  const registry = calls ? new NotingRegistry(join(calls, id)) : new FunctionRegistry();
  RECOVERY_FUNCTIONS.forEach(([name, handler]) => registry.register(name, handler));
  const { blockedMsMax = 0, backlogBytesMax, concurrency, deliveriesMax } = options;
  const worker = createWorker({
    ...{ redis: { url: redisUrl }, deployment, partitions: 1, registry, logger, id, leaseMs },
    blockedMsMax,
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(deliveriesMax === undefined ? {} : { deliveriesMax }),
    ...(backlogBytesMax === undefined ? {} : { backlogBytesMax }),
  });
  await worker.start();
}
process.send?.(told);
