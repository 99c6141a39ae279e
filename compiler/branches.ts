/**
 * The branches of a join: nodes that lie only on ways to it, so that what happens there concerns it
 * alone. Two things that a file may ask for rest on them.
 *
 *   cancel_losers   what is still open there when the join fires is ended (losersOf)
 *   settled         what fails there arrives as an error edge would bring it (settleJoins)
 *
 * A join fires by a live arrival, and before that every node has ended that each way to the join leads
 * through. So if branches are entered only from such nodes, nothing can begin in them once the join
 * has fired: ending what is open is then the end of it. The compiler refuses what is otherwise.
 */
import type { Reporter } from "./diagnostics.ts";
import { buildDominators } from "./dominators.ts";
import type { FlatEdge, FlatNode } from "./expand.ts";
import { adjacency, type Graph } from "./graph.ts";
import { LOSERS_MAX } from "./limits.ts";
import type { LoopForest } from "./loops.ts";

/** The innermost loop around a node's join: that of a loop's head is outside of its loops. */
function homeOf(forest: LoopForest, node: number): number | null {
  let home = forest.innermost[node] ?? null;
  for (let at = home; at !== null; at = forest.loops[at]?.parent ?? null) {
    if (forest.loops[at]?.head === node) home = forest.loops[at]?.parent ?? null;
  }
  return home;
}

function isWithin(forest: LoopForest, node: number, home: number | null): boolean {
  let at = forest.innermost[node] ?? null;
  while (at !== home && at !== null) at = forest.loops[at]?.parent ?? null;
  return at === home;
}

/** Nodes in the round of the join (or at its level) that lead nowhere but to it, ascending. */
export function losersOf(graph: Graph, forest: LoopForest, join: number): number[] {
  const home = homeOf(forest, join);
  const found = new Set<number>();
  for (let node = join - 1; node >= 0; node--) {
    const out = graph.out[node] ?? [];
    const isOnly = out.every((edge) => {
      const to = graph.edges[edge]?.to ?? -1;
      return to === join || found.has(to);
    });
    if (out.length > 0 && isOnly && isWithin(forest, node, home)) found.add(node);
  }
  return [...found].sort((a, b) => a - b);
}

/** Check that each join that is to cancel its losers can. */
export function checkLosers(graph: Graph, forest: LoopForest, reporter: Reporter): void {
  let checker: LoserChecker | undefined;
  graph.nodes.forEach(({ source }, node) => {
    if (source?.join.cancelsLosers !== true) return;
    checker ??= new LoserChecker(graph, forest, reporter);
    checker.check(node, source.join.pointer);
  });
}

class LoserChecker {
  readonly #graph: Graph;
  readonly #forest: LoopForest;
  readonly #reporter: Reporter;
  readonly #dominates: (node: number, join: number) => boolean;

  constructor(graph: Graph, forest: LoopForest, reporter: Reporter) {
    this.#graph = graph;
    this.#forest = forest;
    this.#reporter = reporter;
    const tree = buildDominators(graph.nodes.length, (node) =>
      (graph.in[node - 1] ?? []).map((edge) => (graph.edges[edge]?.from ?? 0) + 1),
    );
    this.#dominates = (node, join) => tree.dominates(node + 1, join + 1);
  }

  check(join: number, pointer: string): void {
    const { nodes } = this.#graph;
    const losers = losersOf(this.#graph, this.#forest, join);
    const { kind, ...rest } = nodes[join]?.source?.join ?? { kind: "all" };
    const degree = this.#graph.in[join]?.length ?? 0;
    const isAll = "count" in rest && degree > 1 && rest.count >= degree;
    const report = (message: string, hint: string): void =>
      this.#reporter.report({ code: "GV2026", pointer, message, hint });
    if (kind === "all" || kind === "settled" || isAll) {
      report(`${this.#name(join)} waits for all: nobody loses`, "say how many it waits for");
    } else if (degree < 2 || losers.length === 0) {
      report(`${this.#name(join)} has no branches to cancel`, "leave `cancel_losers` out");
    } else if (losers.length > LOSERS_MAX) {
      const count = `${losers.length} nodes lie on the ways to ${this.#name(join)} alone`;
      report(`${count}, at most ${LOSERS_MAX} can be cancelled`, "use a `subworkflow` per branch");
    } else {
      this.#checkEntered(join, new Set(losers), pointer);
    }
  }

  /** The join, and its branches, are entered from branches and from what has ended by then. */
  #checkEntered(join: number, losers: ReadonlySet<number>, pointer: string): void {
    const { edges, in: incoming } = this.#graph;
    const entered = [join, ...losers].flatMap((node) => incoming[node] ?? []);
    const late = entered
      .flatMap((edge) => edges[edge] ?? [])
      .find(({ from, to }) => {
        const isKnown = losers.has(from) || this.#dominates(from, join);
        return !isKnown && !this.#isOutside(from, to, join);
      });
    if (late === undefined) return;
    const elsewhere = this.#elsewhere(late.from, join, losers);
    this.#reporter.report({
      code: "GV2026",
      pointer,
      message:
        `${this.#name(join)} cannot cancel its branch through ${this.#name(late.from)}, ` +
        `which also leads to ${this.#name(elsewhere?.to ?? late.to)}`,
      hint: "a branch that is cancelled leads to the join and nowhere else",
      related: [{ message: "leads elsewhere", pointer: elsewhere?.pointer ?? late.pointer }],
    });
  }

  /** An edge into the head of the loop that the join is in: another round, another join. */
  #isOutside(from: number, to: number, join: number): boolean {
    const home = homeOf(this.#forest, join);
    return to !== join && !isWithin(this.#forest, from, home);
  }

  #elsewhere(from: number, join: number, losers: ReadonlySet<number>): FlatEdge | undefined {
    const out = (this.#graph.out[from] ?? []).flatMap((edge) => this.#graph.edges[edge] ?? []);
    return out.find(({ to }) => to !== join && !losers.has(to));
  }

  #name(node: number): string {
    return `\`${this.#graph.nodes[node]?.id ?? ""}\``;
  }
}

/**
 * The graph with what `join: settled` implies: an error edge to the join from each node of its
 * branches that has none of its own. Inside a loop of a branch only the loop node has one: nothing
 * else leaves a loop. The order of the nodes stays as it is, since all of them led to the join before.
 */
export function settleJoins(graph: Graph, forest: LoopForest): Graph {
  const implied = graph.nodes.flatMap(({ source }, join) =>
    source?.join.kind === "settled" ? errorEdges(graph, forest, join, source.join.pointer) : [],
  );
  if (implied.length === 0) return graph;
  const edges = [...graph.edges, ...implied].sort((a, b) => a.from - b.from);
  return { ...graph, edges, ...adjacency(graph.nodes.length, edges) };
}

function errorEdges(graph: Graph, forest: LoopForest, join: number, pointer: string): FlatEdge[] {
  const home = homeOf(forest, join);
  return losersOf(graph, forest, join)
    .filter((node) => mayFailTo(graph.nodes[node], forest, node, home))
    .filter((node) => !hasOwn(graph, node))
    .map((from) => ({ from, to: join, on: "error", condition: null, pointer }));
}

/** Nodes at the join's level, and latches of the loops there; none that the compiler has made. */
function mayFailTo(
  node: FlatNode | undefined,
  forest: LoopForest,
  index: number,
  home: number | null,
): boolean {
  const loop = forest.innermost[index] ?? null;
  const outer = forest.loops.find(({ latch }) => latch === index);
  const leaves = loop === home || (outer !== undefined && outer.parent === home);
  const isMade = node === undefined || node.source === null;
  return !isMade && leaves;
}

function hasOwn(graph: Graph, node: number): boolean {
  return (graph.out[node] ?? []).some((edge) => {
    const on = graph.edges[edge]?.on;
    return on === "error" || on === "always";
  });
}
