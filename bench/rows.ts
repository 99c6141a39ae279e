/** What the bench finds out: rows, in the order in which they were measured. */
import type { Usage } from "./usage.ts";

/** Steps per second of one system on one workload in one round. */
export interface ThroughputRow {
  kind: "throughput";
  system: "floor" | "journalled floor" | "gavotte" | "bullmq";
  workload: string;
  round: number;
  runs: number;
  steps: number;
  /** Until the last run had ended as seen in Redis. */
  stepsPerSecond: number;
  /** Until the last run was committed in Postgres; null for what keeps nothing there. */
  durableStepsPerSecond: number | null;
  /** Runs accepted per second while all this went on; null where nobody accepts. */
  acceptedPerSecond: number | null;
  usage: Usage;
}

/** One figure with its unit and what it should be. */
export interface FigureRow {
  kind: "figure";
  name: string;
  value: number;
  unit: string;
  /** From the table of budgets; null where there is none. */
  budget: { atMost?: number; atLeast?: number } | null;
  note?: string;
}

export type Row = ThroughputRow | FigureRow;

/** Whether a figure keeps its budget; null without one. */
export function keeps({ value, budget }: FigureRow): boolean | null {
  if (budget === null) {
    return null;
  }
  return value <= (budget.atMost ?? Infinity) && value >= (budget.atLeast ?? -Infinity);
}
