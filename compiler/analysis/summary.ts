/** What people and planners want to know of a workflow before it runs. See `IrAnalysis`. */
import { findConvergence } from "./convergence.ts";
import type { IrAnalysis, IrEdge, IrNode } from "../ir.ts";
import { countPaths } from "./paths.ts";
import { boundTokens } from "./tokens.ts";

/** Analyse nodes and edges in topological order. */
export function analyse(nodes: readonly IrNode[], edges: readonly IrEdge[]): IrAnalysis {
  const indexes = nodes.map((_, index) => index);
  const { levels, criticalPath } = measureDepth(nodes, edges);
  return {
    roots: indexes.filter((index) => nodes[index]?.is_entry),
    leaves: indexes.filter((index) => nodes[index]?.is_terminal),
    branch_points: indexes.filter((index) => (nodes[index]?.out.length ?? 0) > 1),
    convergence_points: findConvergence(nodes, edges),
    levels,
    critical_path: criticalPath,
    path_count: countPaths(nodes, edges).toString(),
    tokens_max: boundTokens({ nodes, edges }),
  };
}

/** A node's level is the number of nodes on the longest way to it. */
function measureDepth(
  nodes: readonly IrNode[],
  edges: readonly IrEdge[],
): { levels: number[][]; criticalPath: number[] } {
  const depth: number[] = [];
  const before: (number | null)[] = [];
  const levels: number[][] = [];
  let deepest = 0;
  nodes.forEach((node, index) => {
    let best: number | null = null;
    for (const edge of node.in) {
      const from = edges[edge]?.from ?? 0;
      if (best === null || (depth[from] ?? 0) > (depth[best] ?? 0)) best = from;
    }
    before[index] = best;
    const own = best === null ? 0 : (depth[best] ?? 0) + 1;
    depth[index] = own;
    (levels[own] ??= []).push(index);
    if (own > (depth[deepest] ?? 0)) deepest = index;
  });
  const criticalPath: number[] = [];
  for (let at: number | null = nodes.length > 0 ? deepest : null; at !== null;) {
    criticalPath.push(at);
    at = before[at] ?? null;
  }
  return { levels, criticalPath: criticalPath.reverse() };
}
