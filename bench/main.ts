/**
 * The bench: measures the engine against the floor program, and against a peer if asked, in the
 * same minutes on the same services; prints the table and writes bench/results/.
 *
 * Rates of a shared machine change from minute to minute, so what counts are ratios: the systems
 * take turns on each workload, and the table shows the middle of the rounds. docs/benchmarks.md
 * tells the method and what may be compared with what.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { Engine, runEngine } from "./engine.ts";
import { runFloor } from "./floor/run.ts";
import { measureCli } from "./cli.ts";
import { measureJoins, measureLatency, measureSubmission } from "./latency.ts";
import { measureMemory } from "./memory.ts";
import { readOptions, type BenchOptions } from "./options.ts";
import { preparePeer, runPeer, runPeerLatency } from "./peer.ts";
import { figureTable, machine, resultFile, throughputTable } from "./report.ts";
import type { Row, ThroughputRow } from "./rows.ts";
import { startServices, type Services } from "./services.ts";
import { FAN_10K, THROUGHPUT, type Shape } from "./workloads.ts";

const STEPS_AIM = 100_000;
const QUICK_SHARE = 0.2;
/** Peers are several times slower; a row takes about as long as one of the engine's. */
const PEER_SHARE = 0.2;
const FAN_10K_RUNS = 5;

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

function rateOf(row: ThroughputRow): number {
  return row.durableStepsPerSecond ?? row.stepsPerSecond;
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
      add(...(await measureSubmission(engine, options)));
    }
    if (wanted("fan10k")) {
      const runs = options.quick ? 1 : FAN_10K_RUNS;
      add(await runEngine(engine, FAN_10K, { runs, round: 1, warmUp: 1 }));
    }
    if (wanted("latency")) {
      add(...(await measureLatency(engine, options)));
      for (const peer of options.peers) {
        add(...(await runPeerLatency(services, peer, options)));
      }
    }
    if (wanted("join")) {
      add(...(await measureJoins(engine, options)));
    }
    // Last: it leaves runs that wait for an hour.
    if (wanted("memory")) {
      add(...(await measureMemory(engine, options)));
    }
  } finally {
    await engine.stop();
  }
}

options.peers.forEach(preparePeer);
const services = await startServices();
try {
  await measureEngine(services);
  if (wanted("cli")) {
    add(...(await measureCli(services.dir, options)));
  }
} finally {
  await services.stop();
}
const about = machine(services.versions);
console.log(`${about.cpu}, ${about.cores} cores, ${about.memory}; Node ${about.node}`);
console.log(`Redis ${about.redis}; ${about.postgres}\n`);
console.log(throughputTable(rows));
console.log(figureTable(rows));
const file = resultFile(about, new Date());
mkdirSync(new URL("results/", import.meta.url), { recursive: true });
const result = { ...about, command: process.argv.slice(2), options, rows };
writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
