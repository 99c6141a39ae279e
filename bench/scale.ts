/**
 * Scale: throughput against workers and against partitions, and what a step costs each process
 * (CPU from /proc, which a busy machine does not change much). docs/capacity.md computes from it.
 *
 * On a machine with fewer cores than processes more workers cannot be faster: what counts there is
 * that a step does not get dearer.
 */
import type { Lab } from "./lab.ts";
import { figure, type FigureRow, type ThroughputRow } from "./rows.ts";
import { runEngine } from "./throughput.ts";
import { round } from "./usage.ts";
import { chain, workOf } from "./workloads.ts";

const WORKERS = [1, 2, 4, 8];
const PARTITIONS = [1, 2, 4, 8];
const RUNS = 5000;
const QUICK_RUNS = 500;
const WORK = workOf({ ...chain(10), fusion: false });

/** The chain with 1 to 8 workers on one partition. */
export async function measureWorkers(lab: Lab): Promise<void> {
  const counts = lab.options.quick ? WORKERS.slice(0, 2) : WORKERS;
  await series(lab, "workers", counts, (workers) => ({ workers }));
}

/** The chain on 1 to 8 partitions with two workers. */
export async function measurePartitions(lab: Lab): Promise<void> {
  const counts = lab.options.quick ? PARTITIONS.slice(0, 2) : PARTITIONS;
  await series(lab, "partitions", counts, (partitions) => ({ workers: 2, partitions }));
}

async function series(
  lab: Lab,
  what: string,
  counts: readonly number[],
  shapeOf: (count: number) => object,
): Promise<void> {
  for (const count of counts) {
    const engine = await lab.engine(shapeOf(count));
    const runs = lab.options.runs ?? (lab.options.quick ? QUICK_RUNS : RUNS);
    const name = `${count} ${what}`;
    const row = await runEngine(engine, [WORK], { name, runs, round: 1 });
    lab.add(row, ...costs(name, row));
  }
}

/** Cost per step of each process, and of Postgres per run. */
function costs(name: string, { usage, steps, runs }: ThroughputRow): FigureRow[] {
  const micros = (of: string, by: number): number => round(((usage.cpu[of] ?? 0) / by) * 1e6, 1);
  return [
    figure(`${name}: Redis per step`, micros("redis", steps), "us"),
    figure(`${name}: workers per step`, micros("worker", steps), "us"),
    figure(`${name}: supervisor per run of 10 steps`, micros("supervisor", runs), "us"),
    figure(`${name}: Postgres per run of 10 steps`, micros("postgres", runs), "us"),
  ];
}
