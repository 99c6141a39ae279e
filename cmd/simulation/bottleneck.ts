/**
 * What holds the runs of a simulation up most, in one sentence.
 *
 * Whatever tokens wait for longest, all together: the workers of a queue, or a limit. Where waiting
 * is a small part of what runs take, nothing is short, and the work itself is what there is.
 */
import { formatMs } from "../output.ts";
import type { LimitReport, NodeReport, PoolReport } from "./what-if.ts";

export interface Bottleneck {
  kind: "workers" | "limit" | "work" | "nothing";
  /** The queue whose workers they are, the limit, or the node. */
  name: string;
  /** Milliseconds that tokens have waited for it, or that it has worked, all together. */
  ms: number;
  text: string;
}

/** Waiting that is less than this share of what runs take is no bottleneck. */
const SMALL = 0.02;

export function bottleneckOf(parts: {
  pools: readonly PoolReport[];
  limits: readonly LimitReport[];
  nodes: readonly NodeReport[];
  /** Of all runs together. */
  latencyMs: number;
}): Bottleneck {
  const waits = [
    ...parts.pools.map(workersOf),
    ...parts.pools.map((pool) => heldUpOf(pool, parts.nodes)),
    ...parts.limits.map(limitOf),
  ];
  const worst = waits.reduce<Bottleneck>((a, b) => (b.ms > a.ms ? b : a), NOTHING);
  if (worst.ms > SMALL * parts.latencyMs) return worst;
  return longestWork(parts.nodes);
}

const NOTHING: Bottleneck = {
  ...{ kind: "nothing", name: "", ms: 0, text: "nothing takes any time" },
};

function workersOf({ pool, workers, utilisation, waited_ms: ms }: PoolReport): Bottleneck {
  const who = workers === 1 ? "its one worker is" : `its ${workers ?? "many"} workers are`;
  const share = `${Math.round((utilisation ?? 0) * 100)} %`;
  const busy = `${who} busy ${share} of the time`;
  const text = `workers of "${pool}": ${busy}, and steps have waited ${formatMs(ms)} for them in all`;
  return { kind: "workers", name: pool, ms, text };
}

function heldUpOf({ pool, held_up_ms: ms }: PoolReport, nodes: readonly NodeReport[]): Bottleneck {
  const waited = nodes.reduce<NodeReport | undefined>(
    (a, b) => (b.wait_ms.mean * b.executions > (a ? a.wait_ms.mean * a.executions : 0) ? b : a),
    undefined,
  );
  const name = waited?.node ?? pool;
  const waits = `steps have waited ${formatMs(ms)} in all though a worker was free`;
  const text = `the limit of "${name}": ${waits}`;
  return { kind: "limit", name, ms, text };
}

function limitOf({ limit, starts, waited_ms: ms }: LimitReport): Bottleneck {
  const text = `the rate limit of "${limit}": ${starts} starts have waited ${formatMs(ms)} in all`;
  return { kind: "limit", name: limit, ms, text };
}

function longestWork(nodes: readonly NodeReport[]): Bottleneck {
  const msOf = ({ executions, work_ms: work }: NodeReport): number => work.mean * executions;
  const total = nodes.reduce((sum, node) => sum + msOf(node), 0);
  const [first, ...others] = nodes;
  if (first === undefined || total === 0) return NOTHING;
  const most = others.reduce((a, b) => (msOf(b) > msOf(a) ? b : a), first);
  const share = `${Math.round((msOf(most) / total) * 100)} %`;
  const text = `the work itself: nothing waits; "${most.node}" is ${share} of it`;
  return { kind: "work", name: most.node, ms: msOf(most), text };
}
