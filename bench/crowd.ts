/**
 * Many runs: tens of thousands in flight at one time, and as many as one likes in one go, with the
 * memory of Redis and of each process watched all the way.
 */
import { pause } from "../cmd/embedded/sockets.ts";
import { partitionKeys } from "../sdk/internal.ts";
import type { Engine } from "./engine.ts";
import { residentBytes, usedBytes } from "./memory.ts";
import type { BenchOptions } from "./options.ts";
import { figure, type CurveRow, type FigureRow } from "./rows.ts";
import { assertCompleted, redisNowMs } from "./throughput.ts";
import { median, round } from "./usage.ts";
import { chain, sleeper, workOf } from "./workloads.ts";

const MIB = 1024 * 1024;
/** Runs accepted per second, with room: how long those wait who came first. */
const SLOWEST_PER_SECOND = 1500;
const SLEEP_MS_MIN = 5000;
const POLL_MS = 250;

/** `runs` runs that all wait at one time, then all go on. */
export async function measureConcurrent(engine: Engine, runs: number): Promise<FigureRow[]> {
  const { redis } = engine;
  const work = sleeper(SLEEP_MS_MIN + Math.ceil((runs / SLOWEST_PER_SECOND) * 1000));
  const sinceMs = await redisNowMs(redis);
  const before = await usedBytes(redis);
  const start = performance.now();
  await engine.submit(work);
  const accepted = await engine.submitMany(work, runs - 1);
  const { most, bytes } = await whileWaiting(engine, runs);
  await engine.idle(POLL_MS);
  const seconds = (performance.now() - start) / 1000;
  await assertCompleted(engine, sinceMs, runs);
  const name = `${runs.toLocaleString("en")} at one time`;
  return [
    figure(`${name}: waiting at most`, most, "runs"),
    figure(`${name}: accepted`, round(runs / accepted, 0), "runs/s"),
    figure(`${name}: Redis per run`, round((bytes - before) / runs, 0), "bytes"),
    figure(`${name}: worker, resident`, round(residentBytes(engine.worker.pid) / MIB, 0), "MB"),
    figure(`${name}: first submitted to last COMPLETED`, round(seconds, 1), "s"),
  ];
}

async function whileWaiting({ redis }: Engine, runs: number) {
  const look = (): Promise<number> => redis.zcard(partitionKeys(0).timers);
  let [most, last] = [0, await look()];
  // Until all of them wait, or the first go on already.
  while (last >= most && last < runs) {
    most = Math.max(most, last);
    await pause(POLL_MS);
    last = await look();
  }
  return { most: Math.max(most, last), bytes: await usedBytes(redis) };
}

interface Look {
  seconds: number;
  ended: number;
  /** Without the names that keep what has ended from being started late, for two minutes. */
  redis: number;
  tombstones: number;
  worker: number;
  supervisor: number;
}

const ENDED = {
  name: "bench_ended_until_now",
  text: "SELECT count(*)::int AS n FROM runs WHERE status = 'COMPLETED'",
};
const LOOK_MS = 2000;

/**
 * Many runs of one step in one go. Growth compares the middle of the last quarter of the looks with
 * that of the second: the first is warming up. Tombstones are told apart: they grow for two minutes,
 * longer than a million runs may take.
 */
export async function measureMillion(
  engine: Engine,
  options: BenchOptions,
): Promise<(FigureRow | CurveRow)[]> {
  const runs = options.runs ?? (options.quick ? 5000 : 200_000);
  const work = workOf(chain(1));
  await engine.submit(work);
  await engine.idle();
  const sinceMs = await redisNowMs(engine.redis);
  const start = performance.now();
  const watch = watchMemory(engine, start, runs < 100_000 ? POLL_MS : LOOK_MS);
  await engine.submitMany(work, runs);
  await engine.idle(POLL_MS);
  const seconds = (performance.now() - start) / 1000;
  const curve = await watch.stop();
  await assertCompleted(engine, sinceMs, runs);
  const name = `${runs.toLocaleString("en")} runs`;
  const most = (of: keyof Look): number => round(Math.max(...curve.map((one) => one[of])) / MIB, 0);
  const figures = [
    figure(`${name} in one go`, round(runs / seconds, 0), "runs/s"),
    figure(`${name}: Redis at most, tombstones left out`, most("redis"), "MB"),
    figure(`${name}: tombstones of 120 s at most`, most("tombstones"), "MB"),
    figure(`${name}: worker at most`, most("worker"), "MB"),
    figure(`${name}: supervisor at most`, most("supervisor"), "MB"),
    figure("growth of Redis, first to last quarter", growth(curve, "redis"), "%"),
    figure("growth of the worker, first to last quarter", growth(curve, "worker"), "%"),
    figure("growth of the supervisor, first to last quarter", growth(curve, "supervisor"), "%"),
  ];
  return [
    ...figures,
    { kind: "curve", name: `memory over ${name}`, points: curve.map((look) => ({ ...look })) },
  ];
}

/** In percent; what shrinks has none. */
function growth(curve: readonly Look[], of: keyof Look): number {
  const quarter = Math.floor(curve.length / 4);
  if (quarter === 0) {
    return 0;
  }
  const middle = (from: number): number =>
    median(curve.slice(from, from + quarter).map((one) => one[of]));
  const [first, last] = [middle(quarter), middle(curve.length - quarter)];
  return Math.max(0, round((last / first - 1) * 100, 1));
}

function watchMemory(engine: Engine, start: number, lookMs: number) {
  const { redis, services, worker, supervisor } = engine;
  const { tombs } = partitionKeys(0);
  const curve: Look[] = [];
  let isOver = false;
  const look = async (): Promise<void> => {
    const tombstones = (await redis.memory("USAGE", tombs)) ?? 0;
    const used = await usedBytes(redis);
    const [row] = await services.db.query<{ n: number }>(ENDED);
    curve.push({
      seconds: round((performance.now() - start) / 1000, 1),
      ended: row?.n ?? 0,
      redis: used - tombstones,
      tombstones,
      worker: residentBytes(worker.pid),
      supervisor: residentBytes(supervisor.pid),
    });
  };
  const looking = (async () => {
    while (!isOver) {
      await look();
      await pause(lookMs);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await looking;
      return curve;
    },
  };
}
