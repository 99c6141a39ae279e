/**
 * Paths from entries to terminal nodes. Sixty diamonds in a row have 2^60 of them: so they are
 * counted exactly without being walked, and walked one at a time as far as somebody asks.
 */
import type { Ir, IrEdge, IrNode } from "../ir.ts";

/** One way through a graph; two edges between the same nodes make two paths. */
export interface Path {
  nodes: number[];
  edges: number[];
}

/** How many paths there are. */
export function countPaths(nodes: readonly IrNode[], edges: readonly IrEdge[]): bigint {
  const ways: bigint[] = [];
  let total = 0n;
  nodes.forEach((node, index) => {
    let count = node.is_entry ? 1n : 0n;
    for (const edge of node.in) count += ways[edges[edge]?.from ?? 0] ?? 0n;
    ways[index] = count;
    if (node.is_terminal) total += count;
  });
  return total;
}

/**
 * All paths, in the order of entries and edges, each made when it is asked for. Every node leads to
 * a terminal one, so no walk is in vain: a path costs its own length.
 */
export function* walkPaths(ir: Ir): Generator<Path> {
  for (const [entry, node] of ir.nodes.entries()) {
    if (node.is_entry) yield* walkFrom(ir, entry);
  }
}

function* walkFrom(ir: Ir, entry: number): Generator<Path> {
  const nodes = [entry];
  const edges: number[] = [];
  /** For each node of the path, the place of the edge to try next. */
  const places = [0];
  while (nodes.length > 0) {
    const out = ir.nodes[nodes.at(-1) ?? -1]?.out ?? [];
    const place = places.at(-1) ?? 0;
    if (out.length === 0 && place === 0) yield { nodes: [...nodes], edges: [...edges] };
    const edge = out[place];
    if (edge === undefined) {
      nodes.pop();
      places.pop();
      edges.pop();
      continue;
    }
    places[places.length - 1] = place + 1;
    nodes.push(ir.edges[edge]?.to ?? -1);
    edges.push(edge);
    places.push(0);
  }
}

export interface PathList {
  /** Decimal; it may exceed 2^53. */
  count: string;
  /** The first of them, by ids. */
  paths: string[][];
  is_complete: boolean;
}

/** The first `max` paths and how many there are. */
export function listPaths(ir: Ir, max: number): PathList {
  const count = countPaths(ir.nodes, ir.edges);
  const paths: string[][] = [];
  for (const { nodes } of max > 0 ? walkPaths(ir) : []) {
    paths.push(nodes.map((index) => ir.nodes[index]?.id ?? ""));
    if (paths.length >= max) break;
  }
  return { count: count.toString(), paths, is_complete: BigInt(paths.length) === count };
}
