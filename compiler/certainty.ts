/**
 * What has surely happened when a node runs: the ground for "this reference is always there".
 *
 * A node's output can be read at n if the node succeeded before n was activated. Two arguments show
 * it, and a reference that neither covers may find nothing:
 *
 * 1. Every way to n leads through a success of r: r dominates n in a graph where each node is split
 *    into "was activated" and "succeeded", with success edges leaving from the second.
 * 2. Something that surely happened (by 1, or the start of the run) makes r run, whatever branches
 *    are taken, r has no edge for its failure (so a failed r ends the run or skips n), and n waits
 *    for r: some path from r to n crosses joins of kind `all` only, or all paths of one to an `any`
 *    join do. That goes on without its slower in-edges, so it waits for what each of them has
 *    waited for, and proves nothing about what only some of them have.
 *
 * The second uses bit sets over all nodes (12 MB each for 10,000 nodes), made when first needed.
 */
import type { FlatEdge } from "./expand.ts";
import { buildDominators } from "./dominators.ts";
import type { Dominators } from "./dominators.ts";
import type { Graph } from "./graph.ts";
import { isAlways } from "./steering.ts";

export class Certainty {
  readonly #graph: Graph;
  readonly #split: Dominators;
  #ancestors: BitRows | undefined;
  #awaited: BitRows | undefined;
  #implied: BitRows | undefined;
  #implications = new Map<number, Uint32Array>();
  #fromStart: Uint32Array | undefined;

  constructor(graph: Graph) {
    this.#graph = graph;
    // Node v of the graph is 2v+1 when activated and 2v+2 when it succeeded; 0 is the start.
    this.#split = buildDominators(2 * graph.nodes.length, (node) => {
      if (node % 2 === 0) return [node - 1];
      return (graph.in[(node - 1) >> 1] ?? []).map((index) => {
        const edge = graph.edges[index];
        return edge && leavesAfterSuccess(edge) ? 2 * edge.from + 2 : 2 * (edge?.from ?? 0) + 1;
      });
    });
  }

  /** Whether `r` lies on some path to `n`. */
  isUpstream(r: number, n: number): boolean {
    if (r >= n) return false;
    if (this.#split.dominates(2 * r + 1, 2 * n + 1)) return true;
    this.#ancestors ??= this.#collectAncestors();
    return this.#ancestors.has(n, r);
  }

  /** Whether the output of `r` is there whenever `n` runs. */
  isCertain(r: number, n: number): boolean {
    if (this.#split.dominates(2 * r + 2, 2 * n + 1)) return true;
    this.#awaited ??= this.#collectAwaited();
    return this.#awaited.has(n, r) && hasBit(this.#impliedAt(2 * n + 1), r);
  }

  /** Whether `r`, if it runs at all, has ended whenever `n` runs: no race leaves it behind. */
  hasEnded(r: number, n: number): boolean {
    if (this.#split.dominates(2 * r + 1, 2 * n + 1)) return true;
    this.#awaited ??= this.#collectAwaited();
    return this.#awaited.has(n, r);
  }

  /** Whether `r` succeeds in every run that completes. */
  isCertainAtEnd(r: number): boolean {
    return hasBit(this.#impliedByStart(), r);
  }

  /**
   * The shortest way to `n` (null: to an end) on which `r` does not succeed; undefined if it is a
   * race that leaves `r` out and not a way around it.
   */
  pathWithout(r: number, n: number | null): number[] | undefined {
    const { nodes, edges, in: incoming, out } = this.#graph;
    const before = new Map<number, number | null>();
    const open: number[] = [];
    nodes.forEach((_, node) => {
      if (incoming[node]?.length === 0) {
        before.set(node, null);
        open.push(node);
      }
    });
    // A list that grows while it is walked: breadth first.
    for (const at of open) {
      const isEnd = n === null ? out[at]?.length === 0 && at !== r : at === n;
      if (isEnd) return wayTo(at, before);
      for (const index of out[at] ?? []) {
        const edge = edges[index];
        if (!edge || before.has(edge.to) || (at === r && leavesAfterSuccess(edge))) continue;
        before.set(edge.to, at);
        open.push(edge.to);
      }
    }
    return undefined;
  }

  /** For each node, all that some path leads from to it. */
  #collectAncestors(): BitRows {
    const rows = new BitRows(this.#graph.nodes.length);
    this.#graph.nodes.forEach((_, node) => this.#mergeSources(rows, node));
    return rows;
  }

  /** For each node, what has ended before it runs or is skipped, if it began at all. */
  #collectAwaited(): BitRows {
    const { nodes, edges, in: incoming } = this.#graph;
    const rows = new BitRows(nodes.length);
    for (let node = 0; node < nodes.length; node++) {
      if (waitsForAll(this.#graph, node)) {
        this.#mergeSources(rows, node);
        continue;
      }
      const [first = 0, ...others] = (incoming[node] ?? []).map((index) => edges[index]?.from ?? 0);
      const shared = rows.row(node);
      orInto(shared, rows.row(first));
      for (const from of others) andInto(shared, rows.row(from));
    }
    return rows;
  }

  #mergeSources(rows: BitRows, node: number): void {
    for (const index of this.#graph.in[node] ?? []) {
      const from = this.#graph.edges[index]?.from ?? 0;
      rows.merge(node, from);
      rows.set(node, from);
    }
  }

  /** What surely succeeds sooner or later, given what happened before the split node `at`. */
  #impliedAt(at: number): Uint32Array {
    const known = this.#implications.get(at);
    if (known) return known;
    // Climb to the nearest ancestor that is known, then come back down: no recursion.
    const chain: number[] = [];
    let top = at;
    while (top !== 0 && !this.#implications.has(top)) {
      chain.push(top);
      top = this.#split.parent[top] ?? 0;
    }
    let facts = this.#implications.get(top) ?? this.#impliedByStart();
    for (const node of chain.reverse()) {
      if (node % 2 === 0) {
        facts = facts.slice();
        orInto(facts, this.#consequences().row((node - 2) >> 1));
      }
      this.#implications.set(node, facts);
    }
    return facts;
  }

  #impliedByStart(): Uint32Array {
    if (this.#fromStart) return this.#fromStart;
    const rows = this.#consequences();
    const facts = new Uint32Array(rows.width);
    this.#graph.nodes.forEach((_, node) => {
      const isEntry = this.#graph.in[node]?.length === 0;
      if (isEntry && !mayFailQuietly(this.#graph, node)) orInto(facts, rows.row(node));
    });
    this.#fromStart = facts;
    return facts;
  }

  /** For each node, what surely succeeds if it does; itself included. */
  #consequences(): BitRows {
    if (this.#implied) return this.#implied;
    const { nodes, edges, out } = this.#graph;
    const rows = new BitRows(nodes.length);
    for (let node = nodes.length - 1; node >= 0; node--) {
      rows.set(node, node);
      const next = (out[node] ?? []).flatMap((index) => edges[index] ?? []);
      for (const edge of next) {
        if (isCertainEdge(this.#graph, edge) && carriesOn(this.#graph, edge.to)) {
          rows.merge(node, edge.to);
        }
      }
      this.#addBranches(rows, node, next);
    }
    this.#implied = rows;
    return rows;
  }

  /** One of a first-match node's branches is taken: what all of them imply is certain. */
  #addBranches(rows: BitRows, node: number, next: readonly FlatEdge[]): void {
    const source = this.#graph.nodes[node]?.source;
    if (source?.routing !== "first" || source.onNoMatch === "skip" || source.loop) return;
    const branches = next.filter((edge) => edge.on === "success");
    if (branches.length === 0 || !branches.every((edge) => carriesOn(this.#graph, edge.to))) return;
    const [first, ...others] = branches.map((edge) => rows.row(edge.to));
    if (!first) return;
    const shared = first.slice();
    for (const other of others) andInto(shared, other);
    orInto(rows.row(node), shared);
  }
}

function wayTo(end: number, before: ReadonlyMap<number, number | null>): number[] {
  const way: number[] = [];
  for (let at: number | null = end; at !== null; at = before.get(at) ?? null) way.unshift(at);
  return way;
}

function leavesAfterSuccess(edge: FlatEdge): boolean {
  return edge.on === "success" || edge.on === "exhausted";
}

function waitsForAll(graph: Graph, node: number): boolean {
  const kind = graph.nodes[node]?.source?.join.kind ?? "all";
  return kind === "all" || kind === "settled" || (graph.in[node]?.length ?? 0) < 2;
}

/** Whether its failure is handled, so that the run goes on without its output. */
function mayFailQuietly(graph: Graph, node: number): boolean {
  return (graph.out[node] ?? []).some((index) => {
    const edge = graph.edges[index];
    return edge !== undefined && !leavesAfterSuccess(edge);
  });
}

/** Taken whenever its source succeeds. */
function isCertainEdge(graph: Graph, edge: FlatEdge): boolean {
  const source = graph.nodes[edge.from]?.source;
  if (edge.on !== "success" && edge.on !== "always") return false;
  if (edge.condition && !isAlways(edge)) return false;
  // A loop may end by its timeout path instead.
  if (source?.loop && source.loop.timeoutPath.length > 0) return false;
  const isOnlyChoice = (graph.out[edge.from] ?? []).length === 1;
  return source?.routing !== "first" || isOnlyChoice;
}

/** Whether one live arrival is enough for the node to run, and running means success. */
function carriesOn(graph: Graph, node: number): boolean {
  const join = graph.nodes[node]?.source?.join;
  const needsMore = join?.kind === "count" && join.count > 1;
  return !needsMore && !mayFailQuietly(graph, node);
}

/** A square of bits, one row per node. */
class BitRows {
  readonly width: number;
  readonly #words: Uint32Array;

  constructor(size: number) {
    this.width = Math.ceil(size / 32);
    this.#words = new Uint32Array(this.width * size);
  }

  row(index: number): Uint32Array {
    return this.#words.subarray(index * this.width, (index + 1) * this.width);
  }

  set(index: number, bit: number): void {
    const at = index * this.width + (bit >> 5);
    this.#words[at] = (this.#words[at] ?? 0) | (1 << (bit & 31));
  }

  has(index: number, bit: number): boolean {
    return hasBit(this.row(index), bit);
  }

  merge(into: number, from: number): void {
    orInto(this.row(into), this.row(from));
  }
}

function hasBit(words: Uint32Array, bit: number): boolean {
  return ((words[bit >> 5] ?? 0) & (1 << (bit & 31))) !== 0;
}

function orInto(target: Uint32Array, other: Uint32Array): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] ?? 0) | (other[i] ?? 0);
}

function andInto(target: Uint32Array, other: Uint32Array): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] ?? 0) & (other[i] ?? 0);
}
