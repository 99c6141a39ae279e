/** One round of the engine on one workload: steps per second, until they are in Postgres. */
import { partitionKeys, type Redis } from "../sdk/internal.ts";
import type { Engine } from "./engine.ts";
import type { ThroughputRow } from "./rows.ts";
import { round, startUsage } from "./usage.ts";
import type { Work } from "./workloads.ts";

const ENDED_SINCE = {
  name: "bench_ended_since",
  text: "SELECT status, count(*)::int AS n FROM runs WHERE created_at_ms >= $1 GROUP BY status",
};

export interface RoundOptions {
  name: string;
  runs: number;
  round: number;
  /** Runs before it is measured; as many if absent. */
  warmUp?: number;
}

/** Runs of one document, or of several in turns, from the first submission to the last commit. */
export async function runEngine(
  engine: Engine,
  works: readonly Work[],
  options: RoundOptions,
): Promise<ThroughputRow> {
  const { redis } = engine;
  for (const work of works) {
    await engine.submit(work);
  }
  await engine.submitMany(works, options.warmUp ?? options.runs);
  await engine.idle();
  await engine.released();
  const stop = await startUsage(redis, engine.pids);
  const startMs = await redisNowMs(redis);
  const start = performance.now();
  const acceptedSeconds = await engine.submitMany(works, options.runs);
  await engine.idle();
  const durable = performance.now() - start;
  const usage = await stop();
  await assertCompleted(engine, startMs, options.runs);
  const steps = stepsOf(works, options.runs);
  const inRedisMs = (await lastRecordMs(engine)) - startMs;
  return {
    kind: "throughput",
    system: "gavotte",
    workload: options.name,
    round: options.round,
    runs: options.runs,
    steps,
    stepsPerSecond: round((steps / inRedisMs) * 1000, 0),
    durableStepsPerSecond: round((steps / durable) * 1000, 0),
    acceptedPerSecond: round(options.runs / acceptedSeconds, 0),
    usage,
  };
}

/** Steps of so many runs that take turns. */
export function stepsOf(works: readonly Work[], runs: number): number {
  const each = works.map(({ steps }, i) => steps * Math.ceil((runs - i) / works.length));
  return each.reduce((sum, steps) => sum + steps, 0);
}

/** A rate of runs that failed would be no rate. */
export async function assertCompleted(engine: Engine, sinceMs: number, runs: number) {
  const rows = await engine.services.db.query<{ status: string; n: number }>(ENDED_SINCE, [
    sinceMs,
  ]);
  if (rows.length !== 1 || rows[0]?.status !== "COMPLETED" || rows[0].n !== runs) {
    throw new Error(`expected ${runs} completed runs, found ${JSON.stringify(rows)}`);
  }
}

/** Redis' clock. */
export async function redisNowMs(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}

/** Redis' time of the newest journal record: when the last run ended there. */
async function lastRecordMs({ redis, partitions }: Engine): Promise<number> {
  let latest = 0;
  for (let p = 0; p < partitions; p++) {
    const [entry] = await redis.xrevrange(partitionKeys(p).ev, "+", "-", "COUNT", 1);
    latest = Math.max(latest, Number(entry?.[0].split("-", 1)[0] ?? 0));
  }
  return latest;
}
