/**
 * The rows of the bench, in the order in which they are measured. Each is independent of the
 * others: it asks the lab for the engine it wants and adds what it finds; one that throws is told
 * and the rest goes on.
 */
import { measureCli } from "./cli.ts";
import { measureConcurrent, measureMillion } from "./crowd.ts";
import { measureFeed } from "./feed.ts";
import { runFloor } from "./floor/run.ts";
import type { Lab } from "./lab.ts";
import { measureJoins, measureLatency } from "./latency.ts";
import { measureLoaded, measureOverload } from "./load.ts";
import { measureMemory } from "./memory.ts";
import { runPeer, runPeerLatency, takesShape } from "./peer.ts";
import type { FailureRow } from "./rows.ts";
import { measurePartitions, measureWorkers } from "./scale.ts";
import { measureClient, measureRest, measureSubmission } from "./submission.ts";
import { runEngine, stepsOf } from "./throughput.ts";
import {
  branchy,
  loopOf,
  mapOf,
  mixed,
  THROUGHPUT,
  told,
  WIDEST,
  workOf,
  type Shape,
  type Work,
} from "./workloads.ts";

export interface BenchRow {
  name: string;
  about: string;
  /** Without --only: always, or only with --all. */
  when: "usual" | "all";
  /** A row that takes longer than this hangs. */
  limitSeconds: number;
  measure(lab: Lab): Promise<void>;
}

const STEPS_AIM = 200_000;
const QUICK_SHARE = 0.1;
/** Peers are several times slower; a row takes about as long as one of the engine's. */
const PEER_SHARES = { bullmq: 0.2, dbos: 0.04 } as const;
const WIDEST_RUNS = 5;

/** A peer that fails is told; the engine's row goes on. */
async function orFailure<Found>(name: string, measure: Promise<Found>) {
  return measure.catch((error: unknown): FailureRow => {
    return { kind: "failure", name, error: String(error) };
  });
}

/**
 * Floor, journalled floor, engine and peers, taking turns. Each executes as many runs before it is
 * measured: what counts is what a process does all day, not in its first second, in which V8 has yet
 * to compile it.
 */
async function compare(lab: Lab, shape: Shape): Promise<void> {
  const { options, services } = lab;
  const aim = STEPS_AIM * (options.quick ? QUICK_SHARE : 1);
  const runs = options.runs ?? Math.ceil(aim / shape.steps);
  for (let round = 1; round <= options.rounds; round++) {
    lab.add(await runFloor(services, shape, { runs, round, journalled: false }));
    lab.add(await runFloor(services, shape, { runs, round, journalled: true }));
    const engine = await lab.engine();
    lab.add(await runEngine(engine, [workOf(shape)], { name: shape.name, runs, round }));
    for (const peer of options.peers.filter((name) => takesShape(name, shape))) {
      const peerRuns = Math.ceil(runs * PEER_SHARES[peer]);
      lab.add(await orFailure(peer, runPeer(services, peer, shape, { runs: peerRuns, round })));
    }
  }
}

function comparison(shape: Shape, about: string): BenchRow {
  const measure = (lab: Lab): Promise<void> => compare(lab, shape);
  return { name: shape.name, about, when: "usual", limitSeconds: 400, measure };
}

interface Alone {
  name: string;
  about: string;
  when: BenchRow["when"];
  works: (quick: boolean) => Work[];
  runs: (quick: boolean, works: Work[]) => number;
  warmUp?: number;
}

/** A workload that only the engine runs. */
function alone({ name, about, when, works, runs, warmUp }: Alone): BenchRow {
  const measure = async (lab: Lab): Promise<void> => {
    const { quick } = lab.options;
    const list = works(quick);
    const count = lab.options.runs ?? runs(quick, list);
    const more = warmUp === undefined ? {} : { warmUp };
    const options = { name, runs: count, round: 1, ...more };
    lab.add(await runEngine(await lab.engine(), list, options));
  };
  return { name, about, when, limitSeconds: 180, measure };
}

/** As many runs as the aimed number of steps makes. */
function byAim(quick: boolean, works: Work[]): number {
  const perTurn = stepsOf(works, works.length);
  return Math.ceil((STEPS_AIM * (quick ? QUICK_SHARE : 1)) / perTurn) * works.length;
}

const ALONE: readonly Alone[] = [
  {
    name: "branchy",
    about: "8 nodes with conditions, of which 2 die on dead paths",
    ...{ when: "usual", works: () => [branchy()], runs: byAim },
  },
  {
    name: "told10",
    about: "straight10 whose steps name the run's input and the first one's output",
    ...{ when: "usual", works: () => [told()], runs: byAim },
  },
  {
    name: "mixed",
    about: "chain10, diamond, fan50, branchy and single steps, taking turns",
    ...{ when: "usual", works: () => mixed(), runs: byAim },
  },
  {
    name: WIDEST.name,
    about: "about the widest fan-out that a document of 1 MiB can say",
    ...{ when: "usual", works: () => [workOf(WIDEST)], warmUp: 1 },
    runs: (quick) => (quick ? 1 : WIDEST_RUNS),
  },
  {
    name: "fan10k",
    about: "10,000 steps at one time, as a map: no document can write them down",
    ...{ when: "usual", works: (quick) => [mapOf(quick ? 1000 : 10_000)], warmUp: 1 },
    runs: (quick) => (quick ? 1 : WIDEST_RUNS),
  },
  {
    name: "map100k",
    about: "one map over 100,000 elements",
    ...{ when: "all", works: (quick) => [mapOf(quick ? 5000 : 100_000)], warmUp: 0 },
    runs: () => 1,
  },
  {
    name: "loop10k",
    about: "four loops of 10,000 rounds of two steps",
    ...{ when: "all", works: (quick) => [loopOf(quick ? 1000 : 10_000)], warmUp: 0 },
    runs: (quick) => (quick ? 1 : 4),
  },
];

/** A row of figures on an engine of one worker. */
function figures(
  row: Omit<BenchRow, "measure">,
  measure: (lab: Lab) => Promise<Parameters<Lab["add"]>>,
  fresh = false,
): BenchRow {
  return {
    ...row,
    async measure(lab) {
      if (fresh) {
        await lab.renew();
      }
      lab.add(...(await measure(lab)));
    },
  };
}

const FIGURES: readonly BenchRow[] = [
  {
    ...{ name: "submission", when: "usual", limitSeconds: 180 },
    about: "runs accepted per second: through the queue, the client, REST",
    async measure(lab) {
      const engine = await lab.engine();
      await lab.addFigures(engine, () => measureSubmission(engine, lab.options));
      await lab.addFigures(engine, () => measureClient(engine, lab.options));
      lab.add(...(await measureRest(engine, lab.options)));
    },
  },
  {
    ...{ name: "latency", when: "usual", limitSeconds: 120 },
    about: "one run at a time: a hop, acceptance, the end, the end in Postgres",
    async measure(lab) {
      const engine = await lab.engine();
      await lab.addFigures(engine, () => measureLatency(engine, lab.options));
      for (const peer of lab.options.peers) {
        const found = await orFailure(peer, runPeerLatency(lab.services, peer, lab.options));
        lab.add(...(Array.isArray(found) ? found : [found]));
      }
    },
  },
  {
    ...{ name: "loaded", when: "usual", limitSeconds: 180 },
    about: "the same at 50 % and 90 % of the peak, open load",
    async measure(lab) {
      const engine = await lab.engine();
      await lab.addFigures(engine, () => measureLoaded(engine, lab.options));
    },
  },
  {
    ...{ name: "join", when: "usual", limitSeconds: 120 },
    about: "last arrival to the end of the join's step, 10 to 8,000 branches",
    async measure(lab) {
      const engine = await lab.engine();
      await lab.addFigures(engine, () => measureJoins(engine, lab.options));
    },
  },
  {
    ...{ name: "feed", when: "usual", limitSeconds: 180 },
    about: "change to WebSocket client, with 1,000 of them",
    async measure(lab) {
      const engine = await lab.engine();
      await lab.addFigures(engine, () => measureFeed(engine, lab.options));
    },
  },
  figures(
    {
      ...{ name: "memory", when: "usual", limitSeconds: 180 },
      about: "Redis per waiting run and per ready token, the worker's own",
    },
    async (lab) => measureMemory(await lab.engine({ concurrency: 100 }), lab.options),
    true,
  ),
  figures(
    {
      ...{ name: "cli", when: "usual", limitSeconds: 180 },
      about: "cold `validate`, `run` and start on the embedded stack",
    },
    (lab) => measureCli(lab.services.dir, lab.options),
  ),
];

const LARGE: readonly BenchRow[] = [
  {
    ...{ name: "profile", when: "all", limitSeconds: 120 },
    about: "chain10 under the CPU profiler: top 20 of self time per process",
    async measure(lab) {
      const engine = await lab.engine({ profile: "chain10" });
      const [shape] = THROUGHPUT as [Shape];
      const runs = lab.options.quick ? 500 : 3000;
      await runEngine(engine, [workOf(shape)], { name: shape.name, runs, round: 1 });
      // Profiles are written at the end of the processes.
      await lab.close();
    },
  },
  {
    ...{ name: "overload", when: "all", limitSeconds: 240 },
    about: "twice the peak: what still ends, how far the backlogs grow",
    async measure(lab) {
      const engine = await lab.engine();
      await lab.addFigures(engine, () => measureOverload(engine, lab.options));
    },
  },
  {
    ...{ name: "workers", when: "all", limitSeconds: 240, measure: measureWorkers },
    about: "chain10 with 1, 2, 4, 8 workers: rate and cost per step of each process",
  },
  {
    ...{ name: "partitions", when: "all", limitSeconds: 240, measure: measurePartitions },
    about: "chain10 on 1, 2, 4, 8 partitions, two workers",
  },
  {
    ...{ name: "concurrent", when: "all", limitSeconds: 360 },
    about: "10,000 and 100,000 runs in flight at one time",
    async measure(lab) {
      for (const runs of lab.options.quick ? [1000] : [10_000, 100_000]) {
        await lab.renew();
        lab.add(...(await measureConcurrent(await lab.engine(), runs)));
      }
    },
  },
  figures(
    {
      ...{ name: "million", when: "all", limitSeconds: 1200 },
      about: "200,000 runs in one go (--runs 1000000 for a million), with a curve of memory",
    },
    async (lab) => measureMillion(await lab.engine(), lab.options),
    true,
  ),
];

const ABOUT: { [shape: string]: string } = {
  chain10: "10 steps, one after the other, each through its queue",
  straight10: "the same, executed without a hop in between where the worker can",
  pure10: "straight10 whose steps are said to be pure (`pure: true`)",
  diamond: "one, two at the same time, one that waits for both: 4 steps",
  fan50: "one, 50 at the same time, one that waits for all: 52 steps",
};

/** All rows, in order. */
export const CATALOGUE: readonly BenchRow[] = [
  ...THROUGHPUT.map((shape) => comparison(shape, ABOUT[shape.name] ?? "")),
  ...ALONE.map(alone),
  ...FIGURES,
  ...LARGE,
];
