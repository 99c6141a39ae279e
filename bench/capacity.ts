/**
 * From what a step costs to what a number of cores holds: the model of docs/capacity.md with the
 * costs of this run of the bench.
 */
import { table } from "./report.ts";
import type { Row, ThroughputRow } from "./rows.ts";
import { round } from "./usage.ts";

/** CPU in microseconds: of Redis and a worker per step, of supervisor and Postgres per run. */
export interface Costs {
  redisStep: number;
  workerStep: number;
  supervisorRun: number;
  postgresRun: number;
}

export interface Capacity {
  cores: number;
  stepsPerSecond: number;
  /** What more cores would not help against. */
  limit: "cores" | "one Redis";
}

/** Share of a core that is used at most: beyond it latencies grow without bound. */
const UTILISATION = 0.8;
const CORES = [2, 4, 8, 16, 32];
const STEPS_PER_RUN = 10;

/** What so many cores hold with one Redis, whose scripts run in one thread. */
export function capacityOf(costs: Costs, cores: number, stepsPerRun: number): Capacity {
  const { redisStep, workerStep, supervisorRun, postgresRun } = costs;
  const perStep = redisStep + workerStep + (supervisorRun + postgresRun) / stepsPerRun;
  const byCores = (cores * UTILISATION * 1e6) / perStep;
  const byRedis = (UTILISATION * 1e6) / redisStep;
  const stepsPerSecond = round(Math.min(byCores, byRedis), 0);
  return { cores, stepsPerSecond, limit: byCores < byRedis ? "cores" : "one Redis" };
}

/** The costs of the chain with one worker; null if that was not measured. */
function costsOf(rows: readonly Row[]): Costs | null {
  const row = rows.findLast(
    (one): one is ThroughputRow =>
      one.kind === "throughput" &&
      one.system === "gavotte" &&
      ["1 workers", "chain10"].includes(one.workload),
  );
  if (row === undefined) {
    return null;
  }
  const { cpu } = row.usage;
  const micros = (process: string, by: number): number => ((cpu[process] ?? 0) / by) * 1e6;
  return {
    redisStep: micros("redis", row.steps),
    workerStep: micros("worker", row.steps),
    supervisorRun: micros("supervisor", row.runs),
    postgresRun: micros("postgres", row.runs),
  };
}

/** What this run says that a deployment holds; "" if it has no costs, as without /proc. */
export function capacityTable(rows: readonly Row[]): string {
  const costs = costsOf(rows);
  if (costs === null || costs.redisStep === 0) {
    return "";
  }
  const lines = CORES.map((cores) => {
    const { stepsPerSecond, limit } = capacityOf(costs, cores, STEPS_PER_RUN);
    const runs = round(stepsPerSecond / STEPS_PER_RUN, 0);
    return [String(cores), String(stepsPerSecond), String(runs), limit];
  });
  const head = ["cores", "steps/s", "runs of 10 steps/s", "limited by"];
  return `Capacity by the model of docs/capacity.md\n${table([head, ...lines])}`;
}
