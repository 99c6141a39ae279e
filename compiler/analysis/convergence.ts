/**
 * Convergence points: joins at which two tokens of one run can really meet.
 *
 * A node where the branches of one decision come together again has several in-edges and only one
 * of them is ever live; nothing waits there. Two in-edges are exclusive if the nearest node that
 * dominates both decides between them: every out-edge of it that leads to the one excludes every
 * out-edge that leads to the other.
 */
import { buildDominators } from "../dominators.ts";
import type { Dominators } from "../dominators.ts";
import type { IrEdge, IrNode } from "../ir.ts";

/** Edges walked in all; a graph that needs more keeps the rest of its joins as convergence. */
const STEPS_MAX = 2_000_000;

/** Pairs of in-edges compared at one node; beyond it only neighbours are. */
const DEGREE_MAX = 200;

/** Indexes of nodes with two or more in-edges that can be live in the same run. */
export function findConvergence(nodes: readonly IrNode[], edges: readonly IrEdge[]): number[] {
  const finder = new ConvergenceFinder(nodes, edges);
  return nodes.flatMap((_, index) => (finder.isConvergence(index) ? [index] : []));
}

class ConvergenceFinder {
  readonly #nodes: readonly IrNode[];
  readonly #edges: readonly IrEdge[];
  readonly #dominators: Dominators;
  #stepsLeft = STEPS_MAX;

  constructor(nodes: readonly IrNode[], edges: readonly IrEdge[]) {
    this.#nodes = nodes;
    this.#edges = edges;
    this.#dominators = buildDominators(nodes.length, (node) =>
      (nodes[node - 1]?.in ?? []).map((edge) => (edges[edge]?.from ?? 0) + 1),
    );
  }

  isConvergence(node: number): boolean {
    const incoming = this.#nodes[node]?.in ?? [];
    for (const [i, a] of incoming.entries()) {
      const last = incoming.length > DEGREE_MAX ? i + 2 : incoming.length;
      for (const b of incoming.slice(i + 1, last)) {
        if (!this.#areExclusive(a, b)) return true;
      }
    }
    return false;
  }

  #areExclusive(a: number, b: number): boolean {
    const [from, other] = [this.#edges[a]?.from ?? 0, this.#edges[b]?.from ?? 0];
    const decider = this.#dominators.common(from + 1, other + 1) - 1;
    const node = this.#nodes[decider];
    if (!node) return false;
    const toA = this.#choices(decider, a);
    const toB = this.#choices(decider, b);
    if (!toA || !toB) return false;
    return toA.every((x) => toB.every((y) => x !== y && excludes(this.#edges, node, x, y)));
  }

  /** Out-edges of `decider` over which `edge` can be reached; undefined if that costs too much. */
  #choices(decider: number, edge: number): number[] | undefined {
    const found = new Set<number>();
    const seen = new Set<number>();
    const open = [edge];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (--this.#stepsLeft < 0) return undefined;
      const from = this.#edges[at]?.from ?? 0;
      if (from === decider) {
        found.add(at);
        continue;
      }
      if (seen.has(from)) continue;
      seen.add(from);
      open.push(...(this.#nodes[from]?.in ?? []));
    }
    return [...found];
  }
}

/** Whether two out-edges of a node are never live together. */
export function excludes(edges: readonly IrEdge[], node: IrNode, a: number, b: number): boolean {
  const [on, other] = [edges[a]?.on, edges[b]?.on];
  if (on === other) return on === "success" && node.routing === "first";
  // An `always` edge decides for itself, beside whatever branch is taken.
  if (on === "always" || other === "always") return false;
  // A timeout takes the error edges only where the node has no timeout edge.
  return true;
}
