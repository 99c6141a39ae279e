/**
 * Joins that wait for more arrivals than a run can bring them.
 *
 * `count: 2` behind a `conditional` that takes one of two ways never fires: it is skipped with all
 * that follows, and the run completes as if nothing were missing. It shows in the graph alone. An edge
 * is one of several alternatives of its source: a first-match node takes one of its edges, and each
 * node ends well or in failure. What lies behind an edge on every way to it stands on that
 * alternative; of two in-edges that stand on different alternatives of one node one is dead. So for
 * each node that decides, of the in-edges that stand on it the largest group of one alternative is
 * what can be live, with all that do not: the smallest such number bounds the arrivals.
 */
import type { Reporter } from "./diagnostics.ts";
import type { FlatEdge } from "./expand.ts";
import type { Graph } from "./graph.ts";

/** By node that decides, the alternative that something stands on. */
type Choices = ReadonlyMap<number, string>;

const NONE: Choices = new Map();
/** Choices that are looked at in a file; where there are more, nothing is said. */
const WORK_MAX = 2_000_000;

/** Warn of joins with a count that no run reaches. */
export function checkShortJoins(graph: Graph, reporter: Reporter): void {
  let choices: Choices[] | null | undefined;
  graph.nodes.forEach(({ id, source }, node) => {
    const join = source?.join;
    const degree = graph.in[node]?.length ?? 0;
    // More than there are in-edges is an error of its own.
    if (join?.kind !== "count" || join.count < 2 || join.count > degree) return;
    choices ??= choicesOf(graph);
    if (!choices) return;
    const { most, at } = mostLive(graph, node, choices);
    if (most >= join.count || at === undefined) return;
    const many = most === 1 ? "one" : `${most}`;
    reporter.report({
      code: "GV2028",
      pointer: join.pointer,
      message:
        `\`${id}\` waits for ${join.count} arrivals, and at most ${many} of its ${degree} in-edges ` +
        "can be taken in one run: it is always skipped, with what follows it",
      hint:
        most === 1 ? "join: any goes on with the one that comes" : `a count of ${most} can fire`,
      related: [{ message: "decides between them", pointer: graph.nodes[at]?.pointer ?? "" }],
    });
  });
}

/** How many in-edges can be live at most, and which node says so. */
function mostLive(
  graph: Graph,
  node: number,
  choices: readonly Choices[],
): { most: number; at?: number } {
  const incoming = (graph.in[node] ?? []).flatMap((index) => graph.edges[index] ?? []);
  const groups = new Map<number, Map<string, number>>();
  for (const edge of incoming) {
    for (const [at, alternative] of standingOn(graph, edge, choices)) {
      const sizes = groups.get(at) ?? new Map<string, number>();
      sizes.set(alternative, (sizes.get(alternative) ?? 0) + 1);
      groups.set(at, sizes);
    }
  }
  let found: { most: number; at?: number } = { most: incoming.length };
  for (const [at, sizes] of groups) {
    const counts = [...sizes.values()];
    const standing = counts.reduce((sum, count) => sum + count, 0);
    const most = incoming.length - standing + Math.max(...counts);
    if (most < found.most) found = { most, at };
  }
  return found;
}

/** For each node, what surely was decided where it runs; null if that is too much to look at. */
function choicesOf(graph: Graph): Choices[] | null {
  const all: Choices[] = [];
  let work = 0;
  // Nodes are numbered in topological order: whatever leads to one comes before it.
  for (let node = 0; node < graph.nodes.length; node++) {
    let shared: Map<number, string> | undefined;
    for (const index of graph.in[node] ?? []) {
      const edge = graph.edges[index];
      if (!edge) continue;
      const standing = standingOn(graph, edge, all);
      work += standing.size;
      if (work > WORK_MAX) return null;
      if (!shared) shared = new Map(standing);
      for (const [at, alternative] of shared) {
        if (standing.get(at) !== alternative) shared.delete(at);
      }
    }
    all.push(shared ?? NONE);
  }
  return all;
}

/** What surely was decided where an edge is live. */
function standingOn(graph: Graph, edge: FlatEdge, choices: readonly Choices[]): Choices {
  const before = choices[edge.from] ?? NONE;
  const alternative = alternativeOf(graph, edge);
  return alternative === null ? before : new Map(before).set(edge.from, alternative);
}

/** Which of the ways on from its source an edge belongs to; null: to all of them. */
function alternativeOf(graph: Graph, edge: FlatEdge): string | null {
  const source = graph.nodes[edge.from]?.source;
  if (edge.on === "always") return null;
  if (edge.on === "error" || edge.on === "timeout") return "failure";
  if (edge.on === "exhausted") return "exhausted";
  // Paths of a loop are taken together; of a first-match node each edge is a way of its own.
  return source?.routing === "first" && !source.loop ? `to ${edge.to} ${edge.pointer}` : "success";
}
