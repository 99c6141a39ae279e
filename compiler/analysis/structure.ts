/**
 * The graph as lists and trees: who leads where, which loop is inside which, who dominates whom.
 *
 * Everything is by id, because it is made for people and for programs that do not know the IR. The
 * lists hold all that edges say, so the source's edges can be made from them again.
 */
import { buildDominators } from "../dominators.ts";
import type { Dominators } from "../dominators.ts";
import type { EdgeOn, Ir, IrEdge } from "../ir.ts";

/** A graph of a workflow: the workflow's own, or the body of a map. */
export interface GraphPart {
  ir: Ir;
  /** Ids of the maps around, outermost first; empty: the workflow's own graph. */
  maps: string[];
}

/** Where one node leads to, in the order in which its edges are tried. */
export interface AdjacencyRow {
  node: string;
  out: { to: string; on: EdgeOn; condition: string | null }[];
  /** Sources of its in-edges, in the order in which a join counts them. */
  in: string[];
}

/** A loop with the loops inside it. */
export interface LoopTree {
  head: string;
  latch: string;
  body: string[];
  max_iterations: number;
  inner: LoopTree[];
}

/** A node with those that are reached only through it. */
export interface DominatorTree {
  node: string;
  children: DominatorTree[];
}

/** The workflow's graph and the bodies of its maps, each before those inside it. */
export function partsOf(ir: Ir, maps: readonly string[] = []): GraphPart[] {
  const inner = ir.nodes.flatMap(({ id, body }) => (body ? partsOf(body, [...maps, id]) : []));
  return [{ ir, maps: [...maps] }, ...inner];
}

export function adjacencyOf(ir: Ir): AdjacencyRow[] {
  const idOf = (index: number | undefined): string => ir.nodes[index ?? -1]?.id ?? "";
  return ir.nodes.map((node) => ({
    node: node.id,
    out: node.out.flatMap((index) => {
      const edge = ir.edges[index];
      return edge ? [{ to: idOf(edge.to), on: edge.on, condition: edge.condition }] : [];
    }),
    in: node.in.map((index) => idOf(ir.edges[index]?.from)),
  }));
}

/** The edges that adjacency lists say, by the places of their rows. */
export function edgesOf(rows: readonly AdjacencyRow[]): IrEdge[] {
  const indexOf = new Map(rows.map(({ node }, index) => [node, index]));
  return rows.flatMap(({ out }, from) =>
    out.map(({ to, on, condition }) => ({ from, to: indexOf.get(to) ?? -1, on, condition })),
  );
}

/** Outermost loops with what is inside them. */
export function loopForest(ir: Ir, parent: number | null = null): LoopTree[] {
  const idOf = (index: number): string => ir.nodes[index]?.id ?? "";
  return ir.loops.flatMap((loop, index) => {
    if (loop.parent !== parent) return [];
    const { head, latch, body, max_iterations } = loop;
    const inner = loopForest(ir, index);
    return [{ head: idOf(head), latch: idOf(latch), body: body.map(idOf), max_iterations, inner }];
  });
}

/** Dominators of an IR's nodes, which are numbered from 1 there. */
export function dominatorsOf(ir: Ir): Dominators {
  return buildDominators(ir.nodes.length, (node) =>
    (ir.nodes[node - 1]?.in ?? []).map((edge) => (ir.edges[edge]?.from ?? 0) + 1),
  );
}

/** One tree per entry, and per node that several entries lead to. */
export function dominatorForest(ir: Ir): DominatorTree[] {
  const { parent } = dominatorsOf(ir);
  const trees = ir.nodes.map(({ id }): DominatorTree => ({ node: id, children: [] }));
  const roots: DominatorTree[] = [];
  trees.forEach((tree, index) => {
    const above = parent[index + 1] ?? 0;
    const siblings = above === 0 ? roots : trees[above - 1]?.children;
    siblings?.push(tree);
  });
  return roots;
}
