/**
 * Under an open load, which does not slow down when the engine does: latencies at half and at nine
 * tenths of the peak, and what is still done at twice the peak.
 *
 * Times of runs are taken from their rows: a run's id carries the time of its submission, and its
 * end has Redis' time. Nobody watches meanwhile, so watching costs nothing; the resolution is 1 ms.
 */
import { pause } from "../cmd/embedded/sockets.ts";
import { globalKeys, partitionKeys } from "../sdk/internal.ts";
import type { Engine } from "./engine.ts";
import type { BenchOptions } from "./options.ts";
import { figure, type FigureRow } from "./rows.ts";
import { redisNowMs } from "./throughput.ts";
import { round } from "./usage.ts";
import { chain, workOf, type Work } from "./workloads.ts";

const WORK: Work = workOf({ ...chain(10), fusion: false });
const SHARES = [0.5, 0.9];
const LOOK_MS = 200;

const LATENCIES = {
  name: "bench_latencies",
  text: `WITH done AS (
      SELECT ended_at_ms - ('x' || substr(replace(id, '-', ''), 1, 12))::bit(48)::bigint AS whole,
        (ended_at_ms - started_at_ms) / 10.0 AS hop
      FROM runs WHERE created_at_ms BETWEEN $1 AND $2 AND status = 'COMPLETED')
    SELECT count(*)::int AS n, ${["whole", "hop"]
      .flatMap((of) =>
        [50, 95, 99].map(
          (p) => `percentile_disc(0.${p}) WITHIN GROUP (ORDER BY ${of})::float8 AS "${of}${p}"`,
        ),
      )
      .join(", ")} FROM done`,
};
const ENDED_BETWEEN = {
  name: "bench_ended_between",
  text: `SELECT count(*)::int AS n FROM runs
    WHERE status = 'COMPLETED' AND ended_at_ms BETWEEN $1 AND $2`,
};

type Latencies = { n: number } & { [percentile: string]: number };

/** Runs of the chain that end per second when there is always one waiting. */
async function peakRate(engine: Engine, runs: number): Promise<number> {
  await engine.submit(WORK);
  await engine.submitMany(WORK, Math.ceil(runs / 5));
  await engine.idle();
  const start = performance.now();
  await engine.submitMany(WORK, runs);
  await engine.idle();
  return runs / ((performance.now() - start) / 1000);
}

/** Latencies at shares of the peak. */
export async function measureLoaded(engine: Engine, options: BenchOptions): Promise<FigureRow[]> {
  const peak = await peakRate(engine, options.quick ? 500 : 8000);
  const rows = [figure("peak, chains of 10", round(peak, 0), "runs/s")];
  for (const share of SHARES) {
    await engine.released();
    const fromMs = await redisNowMs(engine.redis);
    await engine.offer(WORK, peak * share, options.quick ? 2 : 10);
    const toMs = await redisNowMs(engine.redis);
    await engine.idle();
    const [found] = await engine.services.db.query<Latencies>(LATENCIES, [fromMs, toMs]);
    const at = `at ${share * 100} % load`;
    for (const [of, what] of [
      ["whole", "submit to finished"],
      ["hop", "one hop (mean of its run)"],
    ]) {
      const row = (p: number): FigureRow =>
        figure(`${what}, chain of 10, ${at}, p${p}`, round(found?.[`${of}${p}`] ?? 0, 1), "ms");
      rows.push(row(50), row(95), row(99));
    }
  }
  return rows;
}

/** Twice the peak for a while: what ends meanwhile, how far the backlogs grow, and nothing lost. */
export async function measureOverload(engine: Engine, options: BenchOptions): Promise<FigureRow[]> {
  const seconds = options.quick ? 4 : 15;
  const peak = await peakRate(engine, options.quick ? 500 : 8000);
  await engine.released();
  const fromMs = await redisNowMs(engine.redis);
  const watch = watchBacklog(engine);
  const submitted = await engine.offer(WORK, peak * 2, seconds);
  const toMs = await redisNowMs(engine.redis);
  const start = performance.now();
  await engine.idle();
  const drained = (performance.now() - start) / 1000;
  const { waiting, journal } = await watch.stop();
  const ended = await endedBetween(engine, fromMs, toMs);
  const all = await endedBetween(engine, fromMs, await redisNowMs(engine.redis));
  if (all !== submitted) {
    throw new Error(`${submitted} runs were submitted at twice the peak, ${all} completed`);
  }
  const goodput = (ended / ((toMs - fromMs) / 1000) / peak) * 100;
  return [
    figure("goodput at twice the peak", round(goodput, 0), "% of peak"),
    figure("submissions waiting at most, at twice the peak", waiting, "entries"),
    figure("journal at most, at twice the peak", journal, "records"),
    figure("until all of it had ended, afterwards", round(drained, 1), "s"),
  ];
}

async function endedBetween(engine: Engine, fromMs: number, toMs: number): Promise<number> {
  const [row] = await engine.services.db.query<{ n: number }>(ENDED_BETWEEN, [fromMs, toMs]);
  return row?.n ?? 0;
}

/** Looks at the streams that grow under too much load. */
function watchBacklog({ redis }: Engine) {
  const most = { waiting: 0, journal: 0 };
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      most.waiting = Math.max(most.waiting, await redis.xlen(globalKeys.submissions));
      most.journal = Math.max(most.journal, await redis.xlen(partitionKeys(0).ev));
      await pause(LOOK_MS);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await looking;
      return most;
    },
  };
}
