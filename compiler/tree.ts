/**
 * Splitting what is too wide: no node keeps more in-edges or out-edges than `limits.fan`, and no run
 * starts more nodes, because one script call handles all of them at once.
 *
 *   many entries      `~entry:<k>` (in a body `~entry:<map>:<k>`), each leading to some of them
 *   many out-edges    `~fan:<node>:<k>`, which pass the node's output on and decide for it
 *   many in-edges     `~join:<node>:<k>`, which gather them (only joins of kind `all` can be split)
 *
 * What is split means what it meant unsplit. So a node that has conditions decides all of its edges
 * itself, those of its parts too (`decidedEdges` in ir.ts): what cannot be evaluated, or matches
 * nothing, is its own failure, before anything behind it begins. A part decides again which of its
 * edges it hands on to, from the same data; split-checks.ts refuses conditions that read other ones.
 * The parts of a first-match node follow each other by defaults, since the order matters.
 */
import type { FlatEdge, FlatGraph, FlatNode } from "./expand.ts";
import { adjacency } from "./graph.ts";
import type { Graph } from "./graph.ts";
import type { Routing } from "./ir.ts";

export interface Split {
  /** The node whose out-edges it has; null: it has no conditions. */
  of: string | null;
  /** Whether that node decides them. */
  isDecided: boolean;
  routing: Routing;
  onNoMatch: "error" | "skip";
}

/** Of a node that has no out-edges of another one. */
const PLAIN: Split = { of: null, isDecided: false, routing: "each", onNoMatch: "error" };

/** Made nodes by id. */
export type Splits = ReadonlyMap<string, Split>;

/** The graph (the body of `map`) with wide places split, and what was made. `graph` stays as it is. */
export function splitFans(
  graph: Graph,
  map: string | null,
  fanMax: number,
): { flat: FlatGraph; splits: Splits } {
  const splitter = new Splitter(graph, map, fanMax);
  splitter.splitEntries();
  splitter.splitOut();
  splitter.splitIn();
  return { flat: splitter.flat, splits: splitter.splits };
}

/** Whether a graph has a place that is too wide. */
export function isTooWide(graph: Graph, fanMax: number): boolean {
  const isWide = (links: readonly number[]): boolean => links.length > fanMax;
  const entries = graph.in.filter((links) => links.length === 0).length;
  return entries > fanMax || graph.in.some(isWide) || graph.out.some(isWide);
}

class Splitter {
  readonly splits = new Map<string, Split>();
  readonly #entryName: string;
  readonly #nodes: FlatNode[];
  #edges: FlatEdge[];
  readonly #indexOf: Map<string, number>;
  readonly #max: number;
  /** How many parts a node has so far. */
  readonly #fans = new Map<string, number>();

  constructor(graph: Graph, map: string | null, fanMax: number) {
    this.#max = fanMax;
    this.#entryName = map === null ? "~entry" : `~entry:${map}`;
    this.#nodes = [...graph.nodes];
    this.#edges = [...graph.edges];
    this.#indexOf = graph.indexOf;
  }

  get flat(): FlatGraph {
    return { nodes: this.#nodes, edges: this.#edges, indexOf: this.#indexOf };
  }

  splitEntries(): void {
    const { in: incoming } = adjacency(this.#nodes.length, this.#edges);
    const entries = incoming.flatMap((links, node) => (links.length === 0 ? [node] : []));
    if (entries.length <= this.#max) return;
    for (const [k, chunk] of chunks(entries, this.#max).entries()) {
      const fan = this.#make(`${this.#entryName}:${k}`, "", PLAIN);
      for (const to of chunk) this.#edges.push(link(fan, to));
    }
  }

  splitOut(): void {
    const { out } = adjacency(this.#nodes.length, this.#edges);
    const kept: FlatEdge[] = [];
    for (const [from, links] of out.entries()) {
      const edges = links.flatMap((index) => this.#edges[index] ?? []);
      if (edges.length <= this.#max) kept.push(...edges);
      else if (this.#nodes[from]?.source?.routing === "first")
        kept.push(...this.#chain(from, edges));
      else kept.push(...this.#fan(from, edges, hasConditions(edges)));
    }
    this.#edges = kept;
  }

  /** Groups of edges of one event, each behind a node that passes the output on. */
  #fan(from: number, edges: readonly FlatEdge[], isDecided: boolean): FlatEdge[] {
    const groups = new Map<string, FlatEdge[]>();
    for (const edge of edges) groups.set(edge.on, [...(groups.get(edge.on) ?? []), edge]);
    const kept: FlatEdge[] = [];
    const of = this.#nodes[from]?.id ?? "";
    for (const group of groups.values()) {
      for (const chunk of chunks(group, this.#max)) {
        const [first] = chunk;
        if (!first) continue;
        const split: Split = { of, isDecided, routing: "each", onNoMatch: "error" };
        const fan = this.#makeFan(of, first.pointer, split);
        kept.push({ ...first, from, to: fan, condition: null });
        for (const edge of chunk) kept.push({ ...edge, from: fan, on: "success" });
      }
    }
    return kept;
  }

  /**
   * First-match edges in parts: a part's default is the next part, the last has the real one. Edges
   * that do not compete stay at the node; many of them are put behind nodes, to leave it some room.
   */
  #chain(from: number, edges: readonly FlatEdge[]): FlatEdge[] {
    const tried = edges.filter((edge) => edge.on === "success" && edge.condition !== null);
    const fallback = edges.filter((edge) => edge.on === "success" && !edge.condition);
    const beside = edges.filter((edge) => edge.on !== "success");
    const isWide = beside.length > this.#max / 2;
    const kept = isWide ? this.#fan(from, beside, true) : beside;
    const ownCount = isWide ? kept.filter((edge) => edge.from === from).length : kept.length;
    const source = this.#nodes[from];
    let at = from;
    const size = Math.max(1, this.#max - 1 - ownCount);
    for (const [k, part] of chunks(tried, size).entries()) {
      if (k > 0) {
        const onNoMatch = source?.source?.onNoMatch ?? "error";
        const of = source?.id ?? "";
        const split: Split = { of, isDecided: true, routing: "first", onNoMatch };
        const next = this.#makeFan(of, part[0]?.pointer ?? "", split);
        kept.push(link(at, next));
        at = next;
      }
      kept.push(...part.map((edge) => ({ ...edge, from: at })));
    }
    return [...kept, ...fallback.map((edge) => ({ ...edge, from: at }))];
  }

  splitIn(): void {
    const { in: incoming } = adjacency(this.#nodes.length, this.#edges);
    for (const [to, links] of incoming.entries()) {
      if (links.length <= this.#max) continue;
      const id = this.#nodes[to]?.id ?? "";
      for (const [k, chunk] of chunks(links, this.#max).entries()) {
        const pointer = this.#nodes[to]?.pointer ?? "";
        const gather = this.#make(`~join:${id}:${k}`, pointer, PLAIN);
        for (const index of chunk) {
          const edge = this.#edges[index];
          if (edge) this.#edges[index] = { ...edge, to: gather };
        }
        this.#edges.push(link(gather, to));
      }
    }
  }

  #makeFan(of: string, pointer: string, split: Split): number {
    const k = this.#fans.get(of) ?? 0;
    this.#fans.set(of, k + 1);
    return this.#make(`~fan:${of}:${k}`, pointer, split);
  }

  #make(id: string, pointer: string, split: Split): number {
    this.splits.set(id, split);
    return this.#nodes.push({ id, pointer, source: null }) - 1;
  }
}

function link(from: number, to: number): FlatEdge {
  return { from, to, on: "success", condition: null, pointer: "" };
}

function hasConditions(edges: readonly FlatEdge[]): boolean {
  return edges.some(({ condition }) => condition !== null);
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  if (size < 1) throw new Error(`parts of ${size} would never end`);
  const result: T[][] = [];
  for (let at = 0; at < items.length; at += size) result.push(items.slice(at, at + size));
  return result;
}
