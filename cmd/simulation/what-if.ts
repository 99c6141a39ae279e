/**
 * Many simulated runs at one time on a bounded number of workers: how long they take, where they
 * wait, and what holds them up.
 *
 * All runs are on one stage and compete for its workers and limits. They come all at once, evenly, or
 * by chance (a Poisson process). Nothing is measured here that the machine adds: no dispatch, no
 * network; put that into the durations.
 */
import type { Ir, IrNode, Json } from "../../compiler/index.ts";
import { interpretOn, type InterpretResult } from "../../compiler/reference/index.ts";
import { bottleneckOf, type Bottleneck } from "./bottleneck.ts";
import { draw } from "./draws.ts";
import { durationOf } from "./handlers.ts";
import { spreadOf, sumOf, type Spread } from "./measures.ts";
import { runOptions, sceneOf, type SimulateOptions } from "./simulate.ts";
import { SimulatedStage, type TimedStep } from "./stage.ts";

export interface Arrivals {
  runs: number;
  /** Milliseconds from one run to the next, on average; 0: all at once. */
  everyMs: number;
  /** By chance, as independent customers come; otherwise evenly. */
  isRandom: boolean;
}

export interface QueueReport {
  queue: string;
  executions: number;
  busy_ms: number;
  /** Share of the time of the workers that serve it; null without a number of workers. */
  utilisation: number | null;
  wait_ms: Spread;
}

/** Workers that share their queues. */
export interface PoolReport {
  /** The queue that they serve, or `default`: all that have no workers of their own. */
  pool: string;
  /** null: one for everything. */
  workers: number | null;
  executions: number;
  /** Share of the workers' time in which they worked; null without a number of workers. */
  utilisation: number | null;
  busy_ms: number;
  wait_ms: Spread;
  /** The most that waited at one time. */
  longest: number;
  /** Waiting for a worker, and because of a limit though a worker was free: all tokens together. */
  waited_ms: number;
  held_up_ms: number;
}

export interface NodeReport {
  node: string;
  executions: number;
  /** From its beginning to its end. */
  work_ms: Spread;
  wait_ms: Spread;
}

export interface LimitReport {
  /** A node, `key …` of the workflow's own limits, or `queue:…`. */
  limit: string;
  starts: number;
  /** How long starts were put off, all together. */
  waited_ms: number;
}

export interface WhatIf {
  runs: number;
  /** How many runs ended how. */
  statuses: { [status: string]: number };
  /** From the arrival of the first run to the end of the last. */
  makespan_ms: number;
  runs_per_s: number;
  /** Of each run, from its arrival to its end. */
  latency_ms: Spread;
  pools: PoolReport[];
  queues: QueueReport[];
  limits: LimitReport[];
  nodes: NodeReport[];
  bottleneck: Bottleneck;
}

/** Simulates the runs of a workload. Throws StepLimitError if one of them does not end. */
export function whatIf(
  ir: Ir,
  input: Json,
  options: Omit<SimulateOptions, "start">,
  arrivals: Arrivals,
): WhatIf {
  const { seed, capacity = {} } = options;
  const scene = sceneOf(ir, options);
  const steps: TimedStep[] = [];
  const stage = new SimulatedStage({
    ...capacity,
    queueOf: (node: IrNode) => scene.book.queueOf(node),
    durationOf: (work) => durationOf(work, scene.book, { seed, nowMs: scene.nowMs }),
    ended: (step, work) => {
      if (work.node.synthetic !== true) steps.push(step);
    },
  });
  const latencies: number[] = [];
  const statuses: { [status: string]: number } = {};
  const times = arrivalTimes(arrivals, seed);
  let lastEnd = 0;
  times.forEach((at, i) => {
    let run: { result(): InterpretResult } | undefined;
    const ended = (): void => {
      latencies.push(stage.now - at);
      lastEnd = stage.now;
      // A run may be over before it is known here: one that has nothing to do.
      count(run?.result().status ?? "COMPLETED");
    };
    const begin = (): void => {
      run = interpretOn(stage, ir, input, { ...runOptions(scene, `run-${i + 1}`), ended });
    };
    stage.enter({ at, isLimit: false, isDue: () => true, happen: begin });
  });
  const count = (status: string): void => {
    statuses[status] = (statuses[status] ?? 0) + 1;
  };
  while (stage.advance());
  const waiting = times.length - latencies.length;
  if (waiting > 0) statuses["WAITING"] = waiting;
  const makespan = lastEnd - (times[0] ?? 0);
  const parts = { pools: poolsOf(stage, makespan), limits: limitsOf(stage), nodes: nodesOf(steps) };
  return {
    ...{ runs: times.length, statuses, makespan_ms: makespan },
    runs_per_s: makespan === 0 ? 0 : (latencies.length * 1000) / makespan,
    ...{ latency_ms: spreadOf(latencies), ...parts },
    queues: queuesOf(steps, parts.pools, makespan),
    bottleneck: bottleneckOf({ ...parts, latencyMs: sumOf(latencies) }),
  };
}

function arrivalTimes({ runs, everyMs, isRandom }: Arrivals, seed: number): number[] {
  const times: number[] = [];
  let at = 0;
  for (let i = 0; i < runs; i++) {
    times.push(at);
    at += isRandom ? -everyMs * Math.log(draw(seed, `arrival ${i}`)) : everyMs;
  }
  return times;
}

function poolsOf(stage: SimulatedStage, makespanMs: number): PoolReport[] {
  return [...stage.pools].map(([name, pool]) => {
    const isBounded = Number.isFinite(pool.workers);
    const available = pool.workers * makespanMs;
    return {
      ...{ pool: name, workers: isBounded ? pool.workers : null, executions: pool.executions },
      utilisation: isBounded && makespanMs > 0 ? pool.busyMs / available : null,
      ...{ busy_ms: pool.busyMs, wait_ms: spreadOf(pool.waits), longest: pool.longest },
      ...{ waited_ms: pool.waitingMs, held_up_ms: pool.heldUpMs },
    };
  });
}

function queuesOf(
  steps: readonly TimedStep[],
  pools: readonly PoolReport[],
  makespanMs: number,
): QueueReport[] {
  return [...groupBy(steps, ({ queue }) => queue)].flatMap(([queue, own]) => {
    if (queue === null) return [];
    const pool = pools.find((one) => one.pool === queue) ?? pools.find((p) => p.pool === "default");
    const busy = sumOf(own.map(({ from, to }) => to - from));
    const available = (pool?.workers ?? 0) * makespanMs;
    return {
      ...{ queue, executions: own.length, busy_ms: busy },
      utilisation: available > 0 ? busy / available : null,
      wait_ms: spreadOf(own.map(({ ready, from }) => from - ready)),
    };
  });
}

function limitsOf(stage: SimulatedStage): LimitReport[] {
  return [...stage.slots.used].map(([limit, { starts, waitMs }]) => ({
    ...{ limit, starts, waited_ms: waitMs },
  }));
}

function nodesOf(steps: readonly TimedStep[]): NodeReport[] {
  return [...groupBy(steps, ({ node }) => node)].map(([node, own]) => ({
    ...{ node, executions: own.length },
    work_ms: spreadOf(own.map(({ from, to }) => to - from)),
    wait_ms: spreadOf(own.map(({ ready, from }) => from - ready)),
  }));
}

function groupBy<T, K>(entries: readonly T[], keyOf: (entry: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const entry of entries) {
    const group = groups.get(keyOf(entry));
    if (group === undefined) groups.set(keyOf(entry), [entry]);
    else group.push(entry);
  }
  return groups;
}
