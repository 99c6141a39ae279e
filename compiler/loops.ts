/**
 * Loops: the body of each, and the proof that it is one.
 *
 * A round ends by its latch alone, and a new round activates the head directly. That is sound only
 * if a body is entered through its head and left from its latch: a token that came in elsewhere
 * would arrive once and be missing in round two; one that left elsewhere would be outside while the
 * round it belongs to is void.
 *
 * The body is what lies on paths from head to latch. If the head dominates the latch, that is all
 * that reaches the latch without passing the head, which is found by walking back from the latch.
 */
import type { Reporter } from "./diagnostics.ts";
import type { DocumentLoop } from "./document.ts";
import { buildDominators } from "./dominators.ts";
import type { Dominators } from "./dominators.ts";
import type { Graph } from "./graph.ts";
import { LOOP_DEPTH_MAX } from "./limits.ts";

export interface GraphLoop {
  head: number;
  latch: number;
  /** Ascending, head and latch included. */
  body: number[];
  parent: number | null;
  source: DocumentLoop;
}

export interface LoopForest {
  /** Outer loops before the loops inside them. */
  loops: GraphLoop[];
  /** Innermost loop of each node. */
  innermost: (number | null)[];
}

/** Find and check the loops of a graph. Loops that are none are reported and left out. */
export function findLoops(graph: Graph, reporter: Reporter): LoopForest {
  const candidates = graph.nodes.flatMap((node, latch) =>
    node.source?.loop ? [{ latch, source: node.source.loop }] : [],
  );
  if (candidates.length === 0) {
    return { loops: [], innermost: graph.nodes.map(() => null) };
  }
  const dominators = buildDominators(graph.nodes.length, (node) =>
    (graph.in[node - 1] ?? []).map((edge) => (graph.edges[edge]?.from ?? 0) + 1),
  );
  const loops = candidates.flatMap(({ latch, source }) => {
    const loop = findBody(graph, dominators, latch, source, reporter);
    return loop && !leavesElsewhere(graph, loop, reporter) ? [loop] : [];
  });
  return nestLoops(graph, loops, reporter);
}

function findBody(
  graph: Graph,
  dominators: Dominators,
  latch: number,
  source: DocumentLoop,
  reporter: Reporter,
): GraphLoop | undefined {
  const name = graph.nodes[latch]?.id ?? "";
  const head = graph.indexOf.get(source.head.id);
  if (head === undefined) {
    reporter.report({
      code: "GV2011",
      pointer: source.head.pointer,
      message: `loop \`${name}\` goes back to \`${source.head.id}\`, but there is no such node`,
      meant: { name: source.head.id, known: graph.indexOf.keys() },
    });
    return undefined;
  }
  const behindHead = reachable(graph, head, latch);
  if (!behindHead.has(latch)) {
    reporter.report({
      code: "GV2011",
      pointer: source.head.pointer,
      message: `loop \`${name}\` goes back to \`${source.head.id}\`, which does not lead to it`,
      hint: "loop_back_to names the loop node itself or a node before it",
    });
    return undefined;
  }
  if (!dominators.dominates(head + 1, latch + 1)) {
    reportEntered(graph, behindHead, head, latch, reporter);
    return undefined;
  }
  const body = backwards(graph, latch, head);
  return { head, latch, body: [...body].sort((a, b) => a - b), parent: null, source };
}

/** Nodes that `start` leads to, not looked for behind node number `last`: no path comes back. */
function reachable(graph: Graph, start: number, last: number): Set<number> {
  const found = new Set([start]);
  const open = [start];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const edge of graph.out[node] ?? []) {
      const to = graph.edges[edge]?.to ?? 0;
      if (to > last || found.has(to)) continue;
      found.add(to);
      open.push(to);
    }
  }
  return found;
}

/** Nodes that lead to `latch`, up to `head`. */
function backwards(graph: Graph, latch: number, head: number): Set<number> {
  const found = new Set([latch]);
  const open = latch === head ? [] : [latch];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const edge of graph.in[node] ?? []) {
      const from = graph.edges[edge]?.from ?? 0;
      if (found.has(from)) continue;
      found.add(from);
      if (from !== head) open.push(from);
    }
  }
  return found;
}

function reportEntered(
  graph: Graph,
  behindHead: ReadonlySet<number>,
  head: number,
  latch: number,
  reporter: Reporter,
): void {
  const region = backwards(graph, latch, head);
  for (const [index, edge] of graph.edges.entries()) {
    const isInside = region.has(edge.to) && behindHead.has(edge.to) && edge.to !== head;
    if (!isInside || behindHead.has(edge.from)) continue;
    const [from, to] = [graph.nodes[edge.from]?.id, graph.nodes[edge.to]?.id];
    reporter.report({
      code: "GV2012",
      pointer: graph.edges[index]?.pointer ?? "",
      message:
        `the edge ${from} -> ${to} enters the body of loop \`${graph.nodes[latch]?.id}\` ` +
        `past its head \`${graph.nodes[head]?.id}\``,
      hint: `lead it to \`${graph.nodes[head]?.id}\`, or let the loop go back further`,
    });
  }
}

function leavesElsewhere(graph: Graph, loop: GraphLoop, reporter: Reporter): boolean {
  const body = new Set(loop.body);
  let isLeft = false;
  for (const node of loop.body) {
    if (node === loop.latch) continue;
    for (const index of graph.out[node] ?? []) {
      const edge = graph.edges[index];
      if (!edge || body.has(edge.to)) continue;
      isLeft = true;
      const latch = graph.nodes[loop.latch]?.id;
      const [from, to] = [graph.nodes[edge.from]?.id, graph.nodes[edge.to]?.id];
      reporter.report({
        code: "GV2013",
        pointer: edge.pointer,
        message:
          `the edge ${from} -> ${to} leaves the body of loop \`${latch}\`: ` +
          `\`${to}\` does not lead to \`${latch}\``,
        hint: `lead it on to \`${latch}\`, or leave the loop from \`${latch}\``,
      });
    }
  }
  return isLeft;
}

/** Parents, and the order of the IR. Each node knows the smallest loop around it so far. */
function nestLoops(graph: Graph, found: GraphLoop[], reporter: Reporter): LoopForest {
  const bySize = found.toSorted((a, b) => b.body.length - a.body.length || a.latch - b.latch);
  const around: (GraphLoop | null)[] = graph.nodes.map(() => null);
  const outer = new Map<GraphLoop, GraphLoop | null>();
  for (const loop of bySize) {
    const parent = around[loop.latch] ?? null;
    const stranger = loop.body.find((node) => (around[node] ?? null) !== parent);
    if (stranger !== undefined) {
      reportOverlap(graph, loop, parent ?? around[stranger] ?? loop, reporter);
      continue;
    }
    outer.set(loop, parent);
    if (depthOf(loop, outer) > LOOP_DEPTH_MAX) {
      const message = `more than ${LOOP_DEPTH_MAX} loops inside one another`;
      reporter.report({ code: "GV2017", pointer: loop.source.pointer, message });
      break;
    }
    for (const node of loop.body) around[node] = loop;
  }
  const loops = [...outer.keys()].sort(
    (a, b) => a.head - b.head || b.body.length - a.body.length || a.latch - b.latch,
  );
  const position = new Map(loops.map((loop, index) => [loop, index]));
  const indexOf = (loop: GraphLoop | null | undefined): number | null =>
    loop ? (position.get(loop) ?? null) : null;
  for (const loop of loops) loop.parent = indexOf(outer.get(loop));
  return { loops, innermost: around.map(indexOf) };
}

function depthOf(loop: GraphLoop, outer: ReadonlyMap<GraphLoop, GraphLoop | null>): number {
  let depth = 0;
  for (let at: GraphLoop | null | undefined = loop; at; at = outer.get(at)) depth++;
  return depth;
}

function reportOverlap(graph: Graph, loop: GraphLoop, other: GraphLoop, reporter: Reporter): void {
  const name = (l: GraphLoop): string => `\`${graph.nodes[l.latch]?.id}\``;
  reporter.report({
    code: "GV2014",
    pointer: loop.source.pointer,
    message: `loop ${name(loop)} overlaps with loop ${name(other)}: neither is part of the other`,
    related: [{ message: `loop ${name(other)}`, pointer: other.source.pointer }],
  });
}
