/**
 * The budgets, each in one place: what a figure should be, and which row of the bench measures it.
 * The table at the end of a run has a line for each of them, measured or not.
 */

/** Both ends are allowed values. */
export interface Limit {
  atMost?: number;
  atLeast?: number;
}

export interface FigureBudget extends Limit {
  /** Name of the figure. */
  figure: string;
  unit: string;
  /** The row that measures it, as `--only` takes it. */
  row: string;
}

/** Budgets of single figures. */
export const FIGURE_BUDGETS: readonly FigureBudget[] = [
  { figure: "one hop, p50", atMost: 1, unit: "ms", row: "latency" },
  { figure: "one hop, p99", atMost: 5, unit: "ms", row: "latency" },
  { figure: "submit to finished, p50", atMost: 5, unit: "ms", row: "latency" },
  { figure: "submit to finished, p99", atMost: 20, unit: "ms", row: "latency" },
  { figure: "finished to COMPLETED in Postgres, p99", atMost: 100, unit: "ms", row: "latency" },
  { figure: "submission through the queue", atLeast: 5000, unit: "runs/s", row: "submission" },
  { figure: "submission through REST", atLeast: 2000, unit: "runs/s", row: "submission" },
  {
    figure: "submit to accepted while the worker is busy, p95",
    ...{ atMost: 10, unit: "ms", row: "submission" },
  },
  { figure: "join of 8,000 over join of 10", atMost: 1.5, unit: "x", row: "join" },
  { figure: "change to client, 1,000 clients, p95", atMost: 50, unit: "ms", row: "feed" },
  { figure: "Redis per waiting run", atMost: 1536, unit: "bytes", row: "memory" },
  {
    figure: "Redis per ready token with 50 bytes of input",
    ...{ atMost: 400, unit: "bytes", row: "memory" },
  },
  { figure: "worker of concurrency 100, resident", atMost: 80, unit: "MB", row: "memory" },
  { figure: "validate, 100 nodes, cold", atMost: 150, unit: "ms", row: "cli" },
  { figure: "validate, 10,000 nodes, cold", atMost: 2000, unit: "ms", row: "cli" },
  { figure: "embedded Redis and Postgres ready, later", atMost: 2000, unit: "ms", row: "cli" },
  { figure: "goodput at twice the peak", atLeast: 80, unit: "% of peak", row: "overload" },
  { figure: "growth of Redis, first to last quarter", atMost: 10, unit: "%", row: "million" },
  { figure: "growth of the worker, first to last quarter", atMost: 10, unit: "%", row: "million" },
];

/** Budgets of throughput: a rate, and ratios to what runs in the same round. */
export interface ThroughputBudget {
  workload: string;
  stepsPerSecond: number;
  /** Share of the journalled floor. */
  floor: number;
  /** Times BullMQ. */
  peer: number;
}

const STEPS_PER_SECOND = 25_000;
const FLOOR = 0.7;

export const THROUGHPUT_BUDGETS: readonly ThroughputBudget[] = [
  { workload: "chain10", stepsPerSecond: STEPS_PER_SECOND, floor: FLOOR, peer: 6 },
  { workload: "straight10", stepsPerSecond: STEPS_PER_SECOND, floor: FLOOR, peer: 10 },
  { workload: "diamond", stepsPerSecond: STEPS_PER_SECOND, floor: FLOOR, peer: 6 },
  { workload: "fan50", stepsPerSecond: STEPS_PER_SECOND, floor: FLOOR, peer: 6 },
];

/** The budget of a figure; null where there is none. */
export function budgetOf(figure: string): Limit | null {
  const found = FIGURE_BUDGETS.find((budget) => budget.figure === figure);
  if (found === undefined) {
    return null;
  }
  const { atMost, atLeast } = found;
  return {
    ...(atMost === undefined ? {} : { atMost }),
    ...(atLeast === undefined ? {} : { atLeast }),
  };
}

/** Whether a value keeps a limit. */
export function keeps(value: number, { atMost, atLeast }: Limit): boolean {
  return value <= (atMost ?? Infinity) && value >= (atLeast ?? -Infinity);
}
