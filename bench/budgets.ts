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
  ...of("latency", "ms", "atMost", {
    "one hop, p50": 1,
    "one hop, p99": 5,
    "submit to finished, p50": 5,
    "submit to finished, p99": 20,
    "finished to COMPLETED in Postgres, p99": 100,
  }),
  ...of("submission", "runs/s", "atLeast", {
    "submission through the queue": 5000,
    "submission through REST": 2000,
  }),
  ...of("submission", "ms", "atMost", {
    "submit to accepted while all slots are taken, p95": 10,
    "submit to accepted while chains take all of the machine, p95": 10,
  }),
  ...of("join", "x", "atMost", { "join of 8,000 over join of 10": 1.5 }),
  ...of("feed", "ms", "atMost", { "change to client, 1,000 clients, p95": 50 }),
  ...of("memory", "bytes", "atMost", {
    "Redis per waiting run": 1536,
    "Redis per ready token with 50 bytes of input": 400,
  }),
  ...of("memory", "MB", "atMost", { "worker of concurrency 100, resident": 80 }),
  ...of("cli", "ms", "atMost", {
    "validate, 100 nodes, cold": 150,
    "validate, 10,000 nodes, cold": 2000,
    "embedded Redis and Postgres ready, later": 2000,
  }),
  ...of("overload", "% of peak", "atLeast", { "goodput at twice the peak": 80 }),
  ...of("million", "%", "atMost", {
    "growth of Redis, first to last quarter": 10,
    "growth of the worker, first to last quarter": 10,
  }),
];

/** Budgets of figures of one row, in one unit. */
function of(
  row: string,
  unit: string,
  end: keyof Limit,
  figures: { [figure: string]: number },
): FigureBudget[] {
  return Object.entries(figures).map(([figure, value]) => ({ figure, [end]: value, unit, row }));
}

/** Budgets of throughput: a rate, and ratios to what runs in the same round. */
export interface ThroughputBudget {
  workload: string;
  stepsPerSecond: number;
  /** Share of the journalled floor. */
  floor: number;
  /** Times BullMQ. */
  peer: number;
}

/** By workload: share of the journalled floor, times BullMQ. */
const RATIOS = {
  chain10: [0.8, 7],
  straight10: [0.7, 10],
  pure10: [0.7, 10],
  diamond: [0.7, 6],
  fan50: [0.8, 7],
};

export const THROUGHPUT_BUDGETS: readonly ThroughputBudget[] = Object.entries(RATIOS).map(
  ([workload, [floor = 0, peer = 0]]) => ({ workload, stepsPerSecond: 25_000, floor, peer }),
);

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
