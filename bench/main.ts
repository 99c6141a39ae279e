/**
 * The bench: measures the engine against the floor program, and against a peer if asked, in the
 * same minutes on the same services; prints the table and writes bench/results/.
 *
 * Rates of a shared machine change from minute to minute, so what counts are ratios: the systems
 * take turns on each workload, and the table shows the middle of the rounds. docs/benchmarks.md
 * tells the method and what may be compared with what.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { Engine, pidsOf, runEngine } from "./engine.ts";
import { runFloor } from "./floor/run.ts";
import { measureCli } from "./cli.ts";
import { measureJoins, measureLatency, measureSubmission } from "./latency.ts";
import { measureMemory } from "./memory.ts";
import { readOptions, type BenchOptions } from "./options.ts";
import { preparePeer, runPeer, runPeerLatency } from "./peer.ts";
import { figureTable, machine, rateOf, resultFile, throughputTable } from "./report.ts";
import type { FigureRow, Row } from "./rows.ts";
import { startServices, type Services } from "./services.ts";
import { startUsage } from "./usage.ts";
import { WIDEST, THROUGHPUT, type Shape } from "./workloads.ts";

const STEPS_AIM = 100_000;
const QUICK_SHARE = 0.2;
/** Peers are several times slower; a row takes about as long as one of the engine's. */
const PEER_SHARE = 0.2;
const WIDEST_RUNS = 5;

const options = readOptions(process.argv.slice(2));
const rows: Row[] = [];

function wanted(name: string): boolean {
  return options.only.length === 0 || options.only.includes(name);
}

function add(...found: Row[]): void {
  for (const row of found) {
    rows.push(row);
    console.error(
      row.kind === "figure"
        ? `${row.name}: ${row.value} ${row.unit}`
        : `${row.workload} ${row.system} ${row.round}: ${rateOf(row)} steps/s`,
    );
  }
}

/** Adds figures with a note of how busy the rest of the machine was while they were taken. */
async function addFigures(
  services: Services,
  engine: Engine,
  measure: () => Promise<FigureRow[]>,
): Promise<void> {
  const stop = await startUsage(services.redis, pidsOf(engine));
  const figures = await measure();
  const { others, seconds } = await stop();
  const note = `others ${Math.round((others / seconds) * 100)} % of a core`;
  add(...figures.map((row) => ({ ...row, note })));
}

function runsOf(shape: Shape, { runs, quick }: BenchOptions): number {
  return runs ?? Math.ceil((STEPS_AIM * (quick ? QUICK_SHARE : 1)) / shape.steps);
}

async function measureThroughput(services: Services, engine: Engine): Promise<void> {
  for (const shape of THROUGHPUT.filter(({ name }) => wanted(name))) {
    const runs = runsOf(shape, options);
    for (let round = 1; round <= options.rounds; round++) {
      add(await runFloor(services, shape, { runs, round, journalled: false }));
      add(await runFloor(services, shape, { runs, round, journalled: true }));
      add(await runEngine(engine, shape, { runs, round }));
      for (const peer of options.peers) {
        const peerRuns = Math.ceil(runs * PEER_SHARE);
        add(await runPeer(services, peer, shape, { runs: peerRuns, round }));
      }
    }
  }
}

async function measureEngine(services: Services): Promise<void> {
  const engine = await Engine.start(services, options.profile);
  try {
    await measureThroughput(services, engine);
    if (wanted("submission")) {
      await addFigures(services, engine, () => measureSubmission(engine, options));
    }
    if (wanted(WIDEST.name)) {
      const runs = options.quick ? 1 : WIDEST_RUNS;
      add(await runEngine(engine, WIDEST, { runs, round: 1, warmUp: 1 }));
    }
    if (wanted("latency")) {
      await addFigures(services, engine, () => measureLatency(engine, options));
      for (const peer of options.peers) {
        add(...(await runPeerLatency(services, peer, options)));
      }
    }
    if (wanted("join")) {
      await addFigures(services, engine, () => measureJoins(engine, options));
    }
    // Last: it leaves runs that wait for an hour.
    if (wanted("memory")) {
      await addFigures(services, engine, () => measureMemory(engine, options));
    }
  } finally {
    await engine.stop();
  }
}

async function measureAll(services: Services): Promise<void> {
  try {
    await measureEngine(services);
    if (wanted("cli")) {
      add(...(await measureCli(services.dir, options)));
    }
  } catch (error) {
    // What was measured until here took minutes and is still true.
    console.error(error);
    process.exitCode = 1;
  } finally {
    await services.stop();
  }
}

options.peers.forEach(preparePeer);
const services = await startServices();
await measureAll(services);
const about = machine(services.versions);
console.log(`${about.cpu}, ${about.cores} cores, ${about.memory}; Node ${about.node}`);
console.log(`Redis ${about.redis}; ${about.postgres}\n`);
console.log(throughputTable(rows));
console.log(figureTable(rows));
const file = resultFile(about, new Date());
mkdirSync(new URL("results/", import.meta.url), { recursive: true });
const result = { ...about, command: process.argv.slice(2), options, rows };
writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
