/**
 * Many simulated runs at one time on a bounded number of workers: how long they take, where they
 * wait, and what holds them up.
 *
 * All runs are on one stage and compete for its workers and limits. They come all at once, evenly, or
 * by chance (a Poisson process). Nothing is measured here that the machine adds: no dispatch, no
 * network; put that into the durations.
 */
import type { Ir, IrNode, Json } from "../../compiler/index.ts";
import { interpretOn, type StagedRun } from "../../compiler/reference/index.ts";
import { bottleneckOf, type Bottleneck } from "./bottleneck.ts";
import { draw } from "./draws.ts";
import { durationOf } from "./handlers.ts";
import { spreadOf, sumOf, type Spread } from "./measures.ts";
import { RunGate } from "./run-gate.ts";
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
  /** A node, `key …` of the workflow's own limits, `queue:…`, or `runs`. */
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
    isBehind: (node, isFirst) => scene.book.isBehind(node, isFirst),
    durationOf: (work) => durationOf(work, scene.book, { seed, nowMs: scene.nowMs }),
    ended: (step, work) => {
      if (work.node.synthetic !== true) steps.push(step);
    },
  });
  const times = arrivalTimes(arrivals, seed);
  const ends = new Ends();
  const gate = new RunGate(ir.settings, capacity.limits?.runs ?? {}, {
    get now() {
      return stage.now;
    },
    after: (ms, happen) =>
      stage.enter({ at: stage.now + ms, isLimit: false, isDue: () => true, happen }),
  });
  times.forEach((at, i) => {
    const id = `run-${i + 1}`;
    const arrived = {
      ...{ input, id, reject: () => ends.add("REJECTED", at, stage.now) },
      begin: () => begin(id, at),
    };
    stage.enter({ at, isLimit: false, isDue: () => true, happen: () => gate.arrive(arrived) });
  });
  const begin = (id: string, at: number): void => {
    const known: { run?: StagedRun } = {};
    const ended = (): void => {
      // A run that has nothing to do is over before it is known here.
      ends.add(known.run?.result().status ?? "COMPLETED", at, stage.now);
      gate.ended({ input, id });
    };
    known.run = interpretOn(stage, ir, input, { ...runOptions(scene, id), ended });
  };
  while (stage.advance());
  const makespan = ends.last - (times[0] ?? 0);
  const parts = {
    ...{ pools: poolsOf(stage, makespan), nodes: nodesOf(steps) },
    limits: [...limitsOf(stage), ...(gate.isLimited ? [runsOf(gate)] : [])],
  };
  return {
    ...{ runs: times.length, statuses: ends.statuses(times.length), makespan_ms: makespan },
    runs_per_s: makespan === 0 ? 0 : (ends.latencies.length * 1000) / makespan,
    ...{ latency_ms: spreadOf(ends.latencies), ...parts },
    queues: queuesOf(steps, parts.pools, makespan),
    bottleneck: bottleneckOf({ ...parts, latencyMs: sumOf(ends.latencies) }),
  };
}

/** How runs have ended. */
class Ends {
  readonly latencies: number[] = [];
  last = 0;
  readonly #counts = new Map<string, number>();

  add(status: string, arrivedAt: number, now: number): void {
    this.#counts.set(status, (this.#counts.get(status) ?? 0) + 1);
    // Who was not let in is through at once, and says nothing about how long runs take.
    if (status === "REJECTED") return;
    this.latencies.push(now - arrivedAt);
    this.last = now;
  }

  /** Of so many runs: those that have no end wait. */
  statuses(runs: number): { [status: string]: number } {
    const ended = sumOf([...this.#counts.values()]);
    const counts = Object.fromEntries(this.#counts);
    return ended < runs ? { ...counts, WAITING: runs - ended } : counts;
  }
}

function runsOf({ started, waitedMs }: RunGate): LimitReport {
  return { limit: "runs", starts: started, waited_ms: waitedMs };
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
