/**
 * The critical path: the chain of nodes that decides how long a run takes at most.
 *
 * As if every branch were taken and every join waited for all its in-edges, so it is an upper
 * estimate. A loop adds its further rounds at its latch: the head dominates the body and only the
 * latch leaves it, so the longest way through a round is the longest way from head to latch.
 *
 * What a node takes is measured (`durations`), or what its config says (a delay), or its
 * `timeout_ms`; where nothing is known of any node all count as one.
 */
import type { Ir, IrNode } from "../ir.ts";

/** Of one node, in ms; of a loop also the rounds, of a map the elements to reckon with. */
export type Duration = number | { ms?: number; rounds?: number; elements?: number };

export type Durations = { readonly [node: string]: Duration };

export interface CriticalPath {
  /** `steps`: nothing is known of times, every node counts as 1. */
  unit: "ms" | "steps";
  length: number;
  /** Ids along the longest path. */
  nodes: string[];
  /** By id: what the node takes, when it ends, and how much later it could without harm. */
  timing: { [node: string]: { takes: number; ends: number; slack: number } };
  /** Nodes of whose time nothing is known where others' is: they count as 0. */
  unknown: string[];
}

/** The longest path through a graph. Loops run to their limit where no rounds are given. */
export function findCriticalPath(ir: Ir, durations: Durations = {}): CriticalPath {
  const meter = new Meter(durations, usesTime(ir, durations));
  const { takes, ends, before } = meter.measure(ir);
  const last = ends.reduce((best, end, index) => (end >= (ends[best] ?? 0) ? index : best), 0);
  const length = ends[last] ?? 0;
  const nodes: string[] = [];
  for (let at: number | null = ir.nodes.length > 0 ? last : null; at !== null;) {
    nodes.push(ir.nodes[at]?.id ?? "");
    at = before[at] ?? null;
  }
  const slack = slackOf(ir, takes, ends, length);
  const timing = Object.fromEntries(
    ir.nodes.map(({ id }, index) => [
      id,
      { takes: takes[index] ?? 0, ends: ends[index] ?? 0, slack: slack[index] ?? 0 },
    ]),
  );
  const unit = meter.isTimed ? "ms" : "steps";
  return { unit, length, nodes: nodes.reverse(), timing, unknown: [...meter.unknown].toSorted() };
}

function usesTime(ir: Ir, durations: Durations): boolean {
  return ir.nodes.some(
    (node) =>
      Object.hasOwn(durations, node.id) ||
      configured(node) !== undefined ||
      (node.body !== undefined && usesTime(node.body, durations)),
  );
}

/** What the file says of a node's time, in ms. */
function configured({ config, timeout_ms: timeout }: IrNode): number | undefined {
  const delay = config["delay_ms"];
  return typeof delay === "number" ? delay : (timeout ?? undefined);
}

interface Measured {
  takes: number[];
  ends: number[];
  before: (number | null)[];
}

class Meter {
  readonly isTimed: boolean;
  readonly unknown = new Set<string>();
  readonly #durations: Durations;

  constructor(durations: Durations, isTimed: boolean) {
    this.#durations = durations;
    this.isTimed = isTimed;
  }

  measure(ir: Ir): Measured {
    const takes: number[] = [];
    const ends: number[] = [];
    const before: (number | null)[] = [];
    ir.nodes.forEach((node, index) => {
      const froms = node.in.map((edge) => ir.edges[edge]?.from ?? 0);
      const last = froms.reduce<number | null>(
        (best, from) => (best === null || (ends[from] ?? 0) > (ends[best] ?? 0) ? from : best),
        null,
      );
      before[index] = last;
      const begins = last === null ? 0 : (ends[last] ?? 0);
      takes[index] = this.#take(node);
      if (node.latch_of !== null) {
        const loop = ir.loops[node.latch_of];
        // What came before the head is not part of a round.
        const head = loop?.head ?? index;
        const enters = (ends[head] ?? begins) - (takes[head] ?? 0);
        const round = head === index ? takes[index] : begins + takes[index] - enters;
        const rounds = this.#given(node)?.rounds ?? (this.isTimed ? loop?.max_iterations : 1) ?? 1;
        takes[index] +=
          Math.max(0, rounds - 1) * (round + (this.isTimed ? (loop?.delay_ms ?? 0) : 0));
      }
      ends[index] = begins + takes[index];
    });
    return { takes, ends, before };
  }

  #take(node: IrNode): number {
    const given = this.#given(node);
    if (given?.ms !== undefined) return given.ms;
    if (node.body) return this.#takeMap(node, node.body, given?.elements ?? 1);
    if (!this.isTimed) return 1;
    const known = configured(node);
    if (known === undefined && !node.pure) this.unknown.add(node.id);
    return known ?? 0;
  }

  #takeMap({ config }: IrNode, body: Ir, elements: number): number {
    const width = config["max_concurrency"];
    const waves = Math.ceil(elements / (typeof width === "number" ? Math.max(1, width) : elements));
    const { ends } = this.measure(body);
    return waves * ends.reduce((most, end) => Math.max(most, end), 0);
  }

  #given({ id }: IrNode): { ms?: number; rounds?: number; elements?: number } | undefined {
    const given = Object.hasOwn(this.#durations, id) ? this.#durations[id] : undefined;
    return typeof given === "number" ? { ms: given } : given;
  }
}

/** How much later each node could end without the whole taking longer. */
function slackOf(
  ir: Ir,
  takes: readonly number[],
  ends: readonly number[],
  length: number,
): number[] {
  const latest = ir.nodes.map(() => length);
  for (let index = ir.nodes.length - 1; index >= 0; index--) {
    for (const edge of ir.nodes[index]?.out ?? []) {
      const to = ir.edges[edge]?.to ?? 0;
      latest[index] = Math.min(latest[index] ?? 0, (latest[to] ?? 0) - (takes[to] ?? 0));
    }
  }
  return latest.map((time, index) => time - (ends[index] ?? 0));
}
