/** One process of a measurement: role.ts <role> <options as JSON>; started by roles.ts. */
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { connectRedis, globalKeys } from "../sdk/internal.ts";
import type { FloorOptions } from "./floor/names.ts";
import { startProfile } from "./profiles.ts";
import type { EngineRoleOptions, RoleOptions, RolePart, WatchersOptions } from "./roles.ts";
import { HOLD_FUNCTION, STEP_FUNCTION, STEP_OUTPUT } from "./workloads.ts";

const STOP_MS = 5000;
const REPORT_MS = 5;
const logger = pino({ level: "warn" }, pino.destination(2));

/** Reports a count, at most once in a few milliseconds: a message per batch would cost CPU. */
function reporter(): (count: number) => void {
  let last = 0;
  let scheduled = false;
  return (count) => {
    last = count;
    if (!scheduled) {
      scheduled = true;
      setTimeout(() => {
        scheduled = false;
        process.send?.({ count: last });
      }, REPORT_MS);
    }
  };
}

async function supervisor(options: EngineRoleOptions): Promise<RolePart> {
  const { redisUrl, databaseUrl: url, singleSession, partitions, backlogRecordsMax } = options;
  const limit = backlogRecordsMax === undefined ? {} : { backlogRecordsMax };
  const database = { url, singleSession };
  const { createSupervisor } = await import("../supervisor/index.ts");
  const service = createSupervisor({ redisUrl, database, logger, partitions, ...limit });
  await service.start();
  return { stop: () => service.stop(STOP_MS) };
}

async function gateway(options: EngineRoleOptions): Promise<RolePart> {
  const { redisUrl, databaseUrl: url, singleSession, partitions } = options;
  const { createGateway } = await import("../gateway/index.ts");
  const { connectPostgres } = await import("../sdk/postgres/index.ts");
  const db = connectPostgres({ url, singleSession, name: "gateway" });
  const where = { host: "127.0.0.1", port: 0 };
  const service = createGateway({ ...where, redisUrl, db, partitions, logger });
  await service.start();
  const stop = async (): Promise<void> => {
    await service.stop(STOP_MS);
    await db.close();
  };
  return { url: service.url(), stop };
}

async function worker(options: EngineRoleOptions): Promise<RolePart> {
  const { redisUrl, concurrency, id } = options;
  const redis = connectRedis({ url: redisUrl }, "bench");
  let deployment = await redis.hgetall(globalKeys.deployment);
  while (deployment["id"] === undefined) {
    await pause(20);
    deployment = await redis.hgetall(globalKeys.deployment);
  }
  redis.disconnect();
  const { createWorker, FunctionRegistry } = await import("../worker/index.ts");
  const registry = new FunctionRegistry();
  registry.register(STEP_FUNCTION, () => STEP_OUTPUT);
  registry.register(HOLD_FUNCTION, ({ params }) =>
    pause((params as { ms: number }).ms, STEP_OUTPUT),
  );
  const service = createWorker({
    redis: { url: redisUrl },
    deployment: deployment["id"],
    partitions: Number(deployment["partitions"]),
    ...{ registry, logger, concurrency, id },
  });
  await service.start();
  return { stop: () => service.stop(STOP_MS) };
}

/** Each role loads what it is made of, and nothing of the others: so do the processes of production. */
async function start(name: keyof RoleOptions, text: string): Promise<RolePart> {
  const options: unknown = JSON.parse(text);
  switch (name) {
    case "floor-worker":
      return (await import("./floor/worker.ts")).floorWorker(options as FloorOptions, reporter());
    case "floor-archiver":
      return (await import("./floor/archiver.ts")).floorArchiver(
        options as FloorOptions,
        reporter(),
      );
    case "supervisor":
      return supervisor(options as EngineRoleOptions);
    case "worker":
      return worker(options as EngineRoleOptions);
    case "gateway":
      return gateway(options as EngineRoleOptions);
    case "watchers":
      return (await import("./watchers.ts")).watchers(options as WatchersOptions);
  }
}

const [, , name = "", text = "{}", profile = ""] = process.argv;
const part = await start(name as keyof RoleOptions, text);
const writeProfile = profile === "" ? null : await startProfile(profile);
let stopping: Promise<void> | undefined;
/** Also when the bench is gone: the channel closes with it, and Redis may be gone before it. */
const stop = (): void => {
  stopping ??= part
    .stop()
    .then(() => writeProfile?.())
    .finally(() => process.exit(0));
  setTimeout(() => process.exit(1), STOP_MS * 2).unref();
};
process.on("message", (message: { stop?: true; ask?: unknown }) => {
  if (message.stop === true) {
    stop();
  } else {
    void part.ask?.(message.ask).then((answer = null) => process.send?.({ answer }));
  }
});
process.on("disconnect", stop);
// An interrupt in a terminal reaches the whole group; the bench decides who stops when.
process.on("SIGINT", () => undefined);
process.send?.({ ready: true, url: part.url });
