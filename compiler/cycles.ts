/**
 * Where a run can start, what it can reach, and cycles that no loop declares.
 *
 * Each strongly connected part is one finding, shown as one shortest cycle in it: a part of twenty
 * nodes holds more cycles than anybody wants to read.
 */
import type { Reporter } from "./diagnostics.ts";
import type { FlatGraph } from "./expand.ts";
import { adjacency } from "./graph.ts";

/** What starts with the nodes that have no in-edges, and where they are written. */
export interface ReachPlace {
  pointer: string;
  what: "run" | "element";
}

/** Report missing entries, unreachable nodes, cycles, and nodes without edges. */
export function checkReach(
  flat: FlatGraph,
  reporter: Reporter,
  place: ReachPlace = { pointer: "", what: "run" },
): void {
  const links = adjacency(flat.nodes.length, flat.edges);
  const entries = flat.nodes.flatMap((_, index) => (links.in[index]?.length === 0 ? [index] : []));
  if (entries.length === 0 && flat.nodes.length > 0) {
    const message = "no node can start: every node has an in-edge";
    reporter.report({ code: "GV2004", pointer: `${place.pointer}/nodes`, message });
  } else {
    reportUnreachable(flat, links.out, entries, place, reporter);
  }
  for (const part of cyclicParts(flat, links.out)) reportCycle(flat, links.out, part, reporter);
  // A node whose edges are wrong has none here, and what is wrong with them has been told.
  const isPart = reporter.diagnostics.some(
    ({ severity, pointer }) =>
      severity === "error" && pointer.startsWith(`${place.pointer}/edges/`),
  );
  if (flat.edges.length === 0 || isPart) return;
  for (const index of entries) {
    const node = flat.nodes[index];
    if (!node || links.out[index]?.length !== 0) continue;
    const message = `\`${node.id}\` has no edges: it starts with the ${place.what} and leads nowhere`;
    reporter.report({ code: "GV2007", pointer: node.pointer, message });
  }
}

function reportUnreachable(
  flat: FlatGraph,
  out: readonly number[][],
  entries: readonly number[],
  place: ReachPlace,
  reporter: Reporter,
): void {
  const reached = new Set(entries);
  const open = [...entries];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const edge of out[node] ?? []) {
      const to = flat.edges[edge]?.to ?? 0;
      if (reached.has(to)) continue;
      reached.add(to);
      open.push(to);
    }
  }
  flat.nodes.forEach((node, index) => {
    if (reached.has(index)) return;
    const start = `any node that starts with the ${place.what}`;
    const message = `\`${node.id}\` cannot be reached from ${start}`;
    reporter.report({ code: "GV2005", pointer: node.pointer, message });
  });
}

/** Nodes of a cycle that are named, and other edges of it that are shown. */
const CYCLE_SHOWN_MAX = 20;
const CYCLE_EDGES_MAX = 3;

function reportCycle(
  flat: FlatGraph,
  out: readonly number[][],
  part: readonly number[],
  reporter: Reporter,
): void {
  const cycle = shortestCycle(flat, out, part);
  const name = (edge: number, end: "from" | "to"): string =>
    flat.nodes[flat.edges[edge]?.[end] ?? 0]?.id ?? "";
  const closing = cycle.at(-1) ?? 0;
  const names = [...cycle.map((edge) => name(edge, "from")), name(closing, "to")];
  const left = names.length - CYCLE_SHOWN_MAX;
  if (left > 1) names.splice(CYCLE_SHOWN_MAX / 2, left, `… ${left} more …`);
  const path = names.join(" -> ");
  reporter.report({
    code: "GV2006",
    pointer: flat.edges[closing]?.pointer ?? "",
    message: `cycle without a loop: ${path}`,
    hint:
      `make \`${name(closing, "from")}\` a loop with loop_back_to "${name(closing, "to")}" ` +
      "and max_iterations, or remove an edge",
    related: cycle.slice(0, Math.min(cycle.length - 1, CYCLE_EDGES_MAX)).map((edge) => ({
      message: "part of the cycle",
      pointer: flat.edges[edge]?.pointer ?? "",
    })),
  });
}

/** Edges of a shortest cycle through the part's first node of the file. */
function shortestCycle(
  flat: FlatGraph,
  out: readonly number[][],
  part: readonly number[],
): number[] {
  const members = new Set(part);
  const start = Math.min(...part);
  const cameBy = new Map<number, number>();
  const queue = [start];
  for (const node of queue) {
    for (const edge of out[node] ?? []) {
      const to = flat.edges[edge]?.to ?? 0;
      if (!members.has(to) || cameBy.has(to)) continue;
      cameBy.set(to, edge);
      if (to !== start) {
        queue.push(to);
        continue;
      }
      const cycle: number[] = [];
      let at = start;
      do {
        const by = cameBy.get(at) ?? 0;
        cycle.unshift(by);
        at = flat.edges[by]?.from ?? start;
      } while (at !== start);
      return cycle;
    }
  }
  return [];
}

/**
 * Strongly connected parts of more than one node (Tarjan's algorithm, with a stack of our own: a
 * chain of 10,000 nodes is deeper than the machine's).
 */
export function cyclicParts(
  flat: { nodes: readonly unknown[]; edges: readonly { to: number }[] },
  out: readonly (readonly number[])[],
): number[][] {
  const index = new Map<number, number>();
  const low = new Map<number, number>();
  const stack: number[] = [];
  const onStack = new Set<number>();
  const parts: number[][] = [];
  const enter = (node: number): { node: number; next: number } => {
    index.set(node, index.size);
    low.set(node, index.size - 1);
    stack.push(node);
    onStack.add(node);
    return { node, next: 0 };
  };
  const lower = (node: number, to: number | undefined): void => {
    low.set(node, Math.min(low.get(node) ?? 0, to ?? 0));
  };
  for (let root = 0; root < flat.nodes.length; root++) {
    if (index.has(root)) continue;
    const frames = [enter(root)];
    for (let frame = frames.at(-1); frame; frame = frames.at(-1)) {
      const edge = out[frame.node]?.[frame.next++];
      if (edge !== undefined) {
        const to = flat.edges[edge]?.to ?? 0;
        if (!index.has(to)) frames.push(enter(to));
        else if (onStack.has(to)) lower(frame.node, index.get(to));
        continue;
      }
      frames.pop();
      const parent = frames.at(-1);
      if (parent) lower(parent.node, low.get(frame.node));
      if (low.get(frame.node) !== index.get(frame.node)) continue;
      const part = stack.splice(stack.lastIndexOf(frame.node));
      for (const node of part) onStack.delete(node);
      if (part.length > 1) parts.push(part);
    }
  }
  return parts;
}
