/**
 * The graph in topological order: node k comes after all nodes that it depends on.
 *
 * The order depends on ids only, not on the order of the file: of the nodes that are free the one
 * with the smallest id is next. So two files that differ in the order of their nodes give the same
 * IR. Edges of one source keep the order of the file, which means something.
 */
import type { FlatEdge, FlatGraph, FlatNode } from "./expand.ts";

export interface Graph {
  /** In topological order. */
  nodes: FlatNode[];
  /** By source, then in the order of the file. */
  edges: FlatEdge[];
  /** Edges into and out of each node, ascending. */
  in: number[][];
  out: number[][];
  /** Index of a node of the document by its id. */
  indexOf: Map<string, number>;
}

/** Number nodes and edges in topological order; undefined if there is a cycle. */
export function orderGraph(flat: FlatGraph): Graph | undefined {
  const order = topologicalOrder(flat);
  if (order.length < flat.nodes.length) return undefined;
  const position = new Array<number>(order.length);
  order.forEach((old, index) => (position[old] = index));
  const at = (old: number): number => position[old] ?? 0;
  const edges = flat.edges
    .map((edge) => ({ ...edge, from: at(edge.from), to: at(edge.to) }))
    // The sort is stable: within one source the order of the file stays.
    .sort((a, b) => a.from - b.from);
  const nodes = order.flatMap((old) => flat.nodes[old] ?? []);
  const indexOf = new Map([...flat.indexOf].map(([id, old]) => [id, at(old)]));
  return { nodes, edges, ...adjacency(nodes.length, edges), indexOf };
}

/** Edge numbers by target and by source. */
export function adjacency(
  nodeCount: number,
  edges: readonly { from: number; to: number }[],
): { in: number[][]; out: number[][] } {
  const incoming = Array.from({ length: nodeCount }, (): number[] => []);
  const outgoing = Array.from({ length: nodeCount }, (): number[] => []);
  edges.forEach((edge, index) => {
    outgoing[edge.from]?.push(index);
    incoming[edge.to]?.push(index);
  });
  return { in: incoming, out: outgoing };
}

/** Kahn's algorithm; nodes in or behind a cycle are missing from the result. */
export function topologicalOrder(flat: FlatGraph): number[] {
  const { in: incoming, out } = adjacency(flat.nodes.length, flat.edges);
  const left = incoming.map((edges) => edges.length);
  const free = new MinHeap((a, b) => compareText(flat.nodes[a]?.id, flat.nodes[b]?.id));
  left.forEach((count, node) => {
    if (count === 0) free.push(node);
  });
  const order: number[] = [];
  for (let node = free.pop(); node !== undefined; node = free.pop()) {
    order.push(node);
    for (const edge of out[node] ?? []) {
      const to = flat.edges[edge]?.to ?? 0;
      const count = (left[to] ?? 0) - 1;
      left[to] = count;
      if (count === 0) free.push(to);
    }
  }
  return order;
}

/** By UTF-16 units, the same on every machine; never by a locale. */
function compareText(a = "", b = ""): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A binary heap of numbers. */
class MinHeap {
  readonly #items: number[] = [];
  readonly #compare: (a: number, b: number) => number;

  constructor(compare: (a: number, b: number) => number) {
    this.#compare = compare;
  }

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#compare(items[parent] ?? 0, item) <= 0) break;
      items[at] = items[parent] ?? 0;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      const right = items[child + 1];
      if (right !== undefined && this.#compare(right, items[child] ?? 0) < 0) child++;
      if (this.#compare(items[child] ?? 0, last) >= 0) break;
      items[at] = items[child] ?? 0;
      at = child;
    }
    items[at] = last;
    return top;
  }
}
