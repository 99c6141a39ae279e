/**
 * The floor program: the bare protocol without an engine, as the yardstick of the same minute.
 *
 * Same traffic per step as the engine's hot path (a record read, one HSET, one XADD per successor;
 * per batch one script call, XACK, XDEL and a journal record), and nothing else. The journalled
 * floor also copies the journal to Postgres.
 */
import { readFileSync } from "node:fs";
import { uuidv7 } from "uuidv7";
import { connectRedis } from "../../sdk/internal.ts";
import type { ThroughputRow } from "../rows.ts";
import { startRole } from "../roles.ts";
import type { Services } from "../services.ts";
import { round, startUsage } from "../usage.ts";
import { STEP_OUTPUT, type Shape } from "../workloads.ts";
import { EV, QUEUE, runKey, SEPARATOR } from "./names.ts";

const START_BATCH = 250;
const SCRIPT = readFileSync(new URL("complete.lua", import.meta.url), "utf8");

/** One round of the floor on one workload, after a first one that is not counted. */
export async function runFloor(
  services: Services,
  shape: Shape,
  options: { runs: number; round: number; journalled: boolean },
): Promise<ThroughputRow> {
  const { floorRedisUrl: redisUrl, databaseUrl, singleSession } = services;
  const redis = connectRedis({ url: redisUrl }, "floor");
  await redis.flushdb();
  const settings = { redisUrl, databaseUrl, singleSession, shape, script: SCRIPT };
  const worker = await startRole("floor-worker", settings, null);
  const archiver = options.journalled ? await startRole("floor-archiver", settings, null) : null;
  try {
    const { runs } = options;
    await startRuns(redis, runs);
    await Promise.all([worker.reaches(runs), archiver?.reaches(runs)]);
    const { redis: redisPid, postgres } = services.pids;
    const pids = { worker: worker.pid, archiver: archiver?.pid ?? null, submitter: process.pid };
    const stop = await startUsage(redis, { ...pids, redis: redisPid, postgres });
    const total = 2 * runs;
    const start = performance.now();
    const [, ended, durable] = await Promise.all([
      startRuns(redis, runs),
      worker.reaches(total).then(() => performance.now() - start),
      archiver?.reaches(total).then(() => performance.now() - start) ?? null,
    ]);
    const usage = await stop();
    const steps = runs * shape.steps;
    return {
      kind: "throughput",
      system: options.journalled ? "journalled floor" : "floor",
      workload: shape.name,
      round: options.round,
      runs,
      steps,
      stepsPerSecond: round((steps / ended) * 1000, 0),
      durableStepsPerSecond: durable === null ? null : round((steps / durable) * 1000, 0),
      acceptedPerSecond: null,
      usage,
    };
  } finally {
    await worker.stop();
    await archiver?.stop();
    await redis.flushdb();
    redis.disconnect();
  }
}

async function startRuns(redis: ReturnType<typeof connectRedis>, runs: number): Promise<void> {
  const input = JSON.stringify(STEP_OUTPUT);
  for (let from = 0; from < runs; from += START_BATCH) {
    const pipeline = redis.pipeline();
    for (let i = from; i < Math.min(from + START_BATCH, runs); i++) {
      const id = uuidv7();
      const fields = ["s", "running", "e", "1", "c", "1", "in", input, "n0", "a1||"];
      pipeline.hset(runKey(id), ...fields);
      pipeline.xadd(QUEUE, "*", "t", [id, 0, input].join(SEPARATOR));
    }
    pipeline.xadd(EV, "*", "b", "[]");
    await pipeline.exec();
  }
}
