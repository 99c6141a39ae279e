/**
 * Which nodes can be in progress at the same time, and the groups they make.
 *
 * Two nodes are parallel if no path orders them and no exclusive branch separates them. Reach is
 * exact. Separation is found in the abstract token game (explore.ts) on a graph of moderate size:
 * can both run in one run? Beyond it, in the structure: the nearest node that dominates both
 * decides between them. That may miss a separation, never invent one.
 *
 * Being parallel is not transitive, so the groups are the largest sets of which every two members
 * are parallel; a node can be in several. There can be more of them than anybody wants to see.
 */
import type { Ir } from "../ir.ts";
import { dominatorsOf } from "./structure.ts";
import { excludes } from "./convergence.ts";
import { explore } from "./explore.ts";
import type { Exploration } from "./explore.ts";

export interface ParallelGroups {
  /** Of two or more nodes, ascending. */
  groups: number[][];
  /** No group was left out. */
  is_complete: boolean;
  /** Separations were looked for in the token game, not only in the structure. */
  is_exact: boolean;
}

/** Nodes among which pairs are looked at one by one. */
const EXACT_MAX = 60;
/** Beyond it there is no answer. */
const NODES_MAX = 2_000;
/** Combinations looked at for one pair. */
const STEPS_MAX = 20_000;
/** Calls of the search for groups. */
const CALLS_MAX = 200_000;

/** The first `max` groups. */
export function findParallel(ir: Ir, explored: Exploration, max: number): ParallelGroups {
  const size = ir.nodes.length;
  if (size > NODES_MAX) return { groups: [], is_complete: false, is_exact: false };
  const isOrdered = orderOf(ir);
  const isSmall = size <= EXACT_MAX;
  const separates = separation(ir);
  let isExact = isSmall;
  const beside = ir.nodes.map(() => new Set<number>());
  for (let a = 0; a < size; a++) {
    if (explored.nodes[a]?.runs === null) continue;
    for (let b = a + 1; b < size; b++) {
      if (explored.nodes[b]?.runs === null || isOrdered(a, b) || separates(a, b)) continue;
      if (isSmall) {
        const { isTogether, isExact: isSure } = explore(ir, { pair: [a, b], stepsMax: STEPS_MAX });
        if (!isTogether) continue;
        isExact &&= isSure;
      }
      beside[a]?.add(b);
      beside[b]?.add(a);
    }
  }
  const search = new CliqueSearch(beside, max);
  return { groups: search.run(), is_complete: search.isComplete, is_exact: isExact };
}

/** Whether a path leads from one node to another with a larger number. */
export function orderOf(ir: Ir): (a: number, b: number) => boolean {
  const width = Math.ceil(ir.nodes.length / 32);
  const before = new Uint32Array(width * ir.nodes.length);
  ir.nodes.forEach((node, index) => {
    for (const edge of node.in) {
      const from = ir.edges[edge]?.from ?? 0;
      for (let word = 0; word < width; word++) {
        before[index * width + word] =
          (before[index * width + word] ?? 0) | (before[from * width + word] ?? 0);
      }
      const at = index * width + (from >> 5);
      before[at] = (before[at] ?? 0) | (1 << (from & 31));
    }
  });
  return (a, b) => ((before[b * width + (a >> 5)] ?? 0) & (1 << (a & 31))) !== 0;
}

/** Whether the nearest common dominator takes either the one or the other. */
function separation(ir: Ir): (a: number, b: number) => boolean {
  const dominators = dominatorsOf(ir);
  const leads = orderOf(ir);
  const choices = (decider: number, to: number): number[] =>
    (ir.nodes[decider]?.out ?? []).filter((edge) => {
      const next = ir.edges[edge]?.to ?? -1;
      return next === to || leads(next, to);
    });
  return (a, b) => {
    const decider = dominators.common(a + 1, b + 1) - 1;
    const node = ir.nodes[decider];
    if (!node || decider === a || decider === b) return false;
    const toA = choices(decider, a);
    const toB = choices(decider, b);
    return toA.every((x) => toB.every((y) => x !== y && excludes(ir.edges, node, x, y)));
  };
}

/** Bron and Kerbosch, with a pivot: largest sets in which all are beside each other. */
class CliqueSearch {
  isComplete = true;
  readonly #beside: readonly ReadonlySet<number>[];
  readonly #max: number;
  readonly #found: number[][] = [];
  #calls = CALLS_MAX;

  constructor(beside: readonly ReadonlySet<number>[], max: number) {
    this.#beside = beside;
    this.#max = max;
  }

  run(): number[][] {
    const all = this.#beside.flatMap((set, node) => (set.size > 0 ? [node] : []));
    this.#extend([], new Set(all), new Set());
    return this.#found
      .map((group) => group.sort((a, b) => a - b))
      .sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0));
  }

  #extend(chosen: number[], open: Set<number>, done: Set<number>): void {
    if (this.#found.length >= this.#max || --this.#calls < 0) {
      this.isComplete = false;
      return;
    }
    if (open.size === 0) {
      if (done.size === 0 && chosen.length > 1) this.#found.push([...chosen]);
      return;
    }
    const among = [...open, ...done];
    const counts = among.map((node) => [...open].filter((o) => this.#beside[node]?.has(o)).length);
    const pivot = among[counts.indexOf(Math.max(...counts))] ?? -1;
    for (const node of [...open]) {
      if (this.#beside[pivot]?.has(node)) continue;
      const near = this.#beside[node] ?? new Set();
      const only = (set: Set<number>): Set<number> => new Set([...set].filter((o) => near.has(o)));
      this.#extend([...chosen, node], only(open), only(done));
      open.delete(node);
      done.add(node);
    }
  }
}
