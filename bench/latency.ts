/** Latencies of runs that are alone, and joins of all widths. */
import { pause } from "../cmd/embedded/sockets.ts";
import { readRun } from "../sdk/postgres/index.ts";
import type { Engine } from "./engine.ts";
import { JournalWatch } from "./journal-watch.ts";
import type { BenchOptions } from "./options.ts";
import { figure, type FigureRow } from "./rows.ts";
import { median, percentiles, round } from "./usage.ts";
import { chain, joinOf, workOf, type Work } from "./workloads.ts";

const SAMPLES = 500;
const QUICK_SAMPLES = 100;
const WARM_UP = 50;
/** Between two runs, so that they do not meet. */
const GAP_MS = 5;

/** Submit to finished for one step, the lag of Postgres behind that, and one hop of a chain. */
export async function measureLatency(engine: Engine, options: BenchOptions): Promise<FigureRow[]> {
  const samples = options.quick ? QUICK_SAMPLES : SAMPLES;
  const watch = await JournalWatch.open(engine.services.redisUrl);
  try {
    const single = await singleRuns(engine, watch, samples);
    const hops = await hopsOfChains(engine, watch, Math.ceil(samples / 9));
    const accepted = percentiles(single.accepted);
    const ended = percentiles(single.ended);
    const durable = percentiles(single.durable);
    const hop = percentiles(hops);
    return [
      figure("one hop, p50", hop.p50, "ms"),
      figure("one hop, p95", hop.p95, "ms"),
      figure("one hop, p99", hop.p99, "ms"),
      figure("submit to accepted, p50", accepted.p50, "ms"),
      figure("submit to accepted, p95", accepted.p95, "ms"),
      figure("submit to finished, p50", ended.p50, "ms"),
      figure("submit to finished, p95", ended.p95, "ms"),
      figure("submit to finished, p99", ended.p99, "ms"),
      figure("finished to COMPLETED in Postgres, p50", durable.p50, "ms"),
      figure("finished to COMPLETED in Postgres, p99", durable.p99, "ms"),
    ];
  } finally {
    watch.close();
  }
}

async function singleRuns(engine: Engine, watch: JournalWatch, samples: number) {
  const work = workOf(chain(1));
  const times = { accepted: [] as number[], ended: [] as number[], durable: [] as number[] };
  for (let i = 0; i < WARM_UP + samples; i++) {
    const start = performance.now();
    const heard = watch.until(({ e }) => e === "run.completed");
    const id = await engine.submit(work);
    const accepted = performance.now();
    const endedMs = (await heard).at(-1)?.atMs ?? 0;
    while ((await readRun(engine.services.db, id))?.status !== "COMPLETED") {
      await pause(1);
    }
    if (i >= WARM_UP) {
      times.accepted.push(accepted - start);
      times.ended.push(endedMs - start);
      times.durable.push(Math.max(0, performance.now() - endedMs));
    }
    await pause(GAP_MS);
  }
  return times;
}

/** From the end of one node to the end of the next, in chains that run alone. */
async function hopsOfChains(engine: Engine, watch: JournalWatch, runs: number): Promise<number[]> {
  const work = workOf({ ...chain(10), fusion: false });
  const hops: number[] = [];
  for (let i = 0; i < WARM_UP + runs; i++) {
    const heard = watch.until(({ e }) => e === "run.completed");
    await engine.submit(work);
    const ends = (await heard).filter(({ transition }) => transition.e === "node.completed");
    const times = ends.map(({ atMs }) => atMs);
    // Two in one read have the same time; the next difference then holds both.
    if (i >= WARM_UP) {
      hops.push(...times.slice(1).map((atMs, k) => atMs - (times[k] ?? atMs)));
    }
    await pause(GAP_MS);
  }
  return hops;
}

const WIDTHS = [10, 100, 1000, 8000];
const JOINS = 9;
const WARM_UP_STEPS = 5000;
/** What the join's step is executed with: where it makes its input itself, none of it is read. */
const INPUTS = { "": { joined: true }, " with all outputs": undefined };

/** From the last arrival at a join to the end of the join's own step, by width. */
export async function measureJoins(engine: Engine, options: BenchOptions): Promise<FigureRow[]> {
  const widths = options.quick ? WIDTHS.slice(0, 3) : WIDTHS;
  const rows: FigureRow[] = [];
  for (const [what, input] of Object.entries(INPUTS)) {
    const found = new Map<number, number>();
    for (const width of widths) {
      const ms = await joinMs(engine, joinOf(width, input));
      found.set(width, ms);
      rows.push(
        figure(`join of ${width}${what}: fires to its step's end, p50`, round(ms, 2), "ms"),
      );
    }
    const [narrow, wide] = [found.get(10), found.get(8000)];
    if (narrow !== undefined && wide !== undefined) {
      const name = `join of 8,000 over join of 10${what && `, both${what}`}`;
      rows.push(figure(name, round(wide / narrow, 1), "x", JOIN_NOTE));
    }
  }
  return rows;
}

const JOIN_NOTE = "with the join's own step: an upper bound";

async function joinMs(engine: Engine, work: Work): Promise<number> {
  await engine.submit(work);
  await engine.submitMany(work, Math.ceil(WARM_UP_STEPS / work.steps));
  await engine.idle();
  const watch = await JournalWatch.open(engine.services.redisUrl);
  const times: number[] = [];
  for (let i = 0; i < JOINS; i++) {
    const heard = watch.until(({ e }) => e === "run.completed");
    await engine.submit(work);
    const news = await heard;
    const fired = news.findLast(({ transition }) => transition.e === "join.decided");
    times.push((news.at(-1)?.atMs ?? 0) - (fired?.atMs ?? 0));
  }
  watch.close();
  return median(times);
}
