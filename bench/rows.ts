/** What the bench finds out: rows, in the order in which they were measured. */
import { budgetOf, type Limit } from "./budgets.ts";
import type { Usage } from "./usage.ts";

export type System = "floor" | "journalled floor" | "gavotte" | "bullmq" | "dbos";

/** Steps per second of one system on one workload in one round. */
export interface ThroughputRow {
  kind: "throughput";
  system: System;
  workload: string;
  round: number;
  runs: number;
  steps: number;
  /** Until the last run had ended as seen in Redis (a peer: as its worker saw it). */
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
  budget: Limit | null;
  note?: string;
}

/** Where a process spends its own time, from its CPU profile. */
export interface ProfileRow {
  kind: "profile";
  process: string;
  /** Self time, most first. */
  top: { percent: number; where: string }[];
}

/** Something that was looked at again and again. */
export interface CurveRow {
  kind: "curve";
  name: string;
  points: readonly { [what: string]: number }[];
}

/** A row that was not measured, and why. */
export interface FailureRow {
  kind: "failure";
  name: string;
  error: string;
}

export type Row = ThroughputRow | FigureRow | ProfileRow | CurveRow | FailureRow;

/** A figure; its budget is looked up by its name. */
export function figure(name: string, value: number, unit: string, note?: string): FigureRow {
  const row: FigureRow = { kind: "figure", name, value, unit, budget: budgetOf(name) };
  return note === undefined ? row : { ...row, note };
}

/** The rate that is compared: until durable, where that is measured. */
export function rateOf(row: ThroughputRow): number {
  return row.durableStepsPerSecond ?? row.stepsPerSecond;
}
