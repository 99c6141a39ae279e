/**
 * Splitting what is too wide: no node keeps more than FAN_MAX in-edges or out-edges, and no run
 * starts more than FAN_MAX nodes, because one script call handles all of them at once.
 *
 *   many entries      `~entry:<k>` (in a body `~entry:<map>:<k>`), each leading to some of them
 *   many out-edges    `~fan:<node>:<k>`, which pass the node's output on and decide for it
 *   many in-edges     `~join:<node>:<k>`, which gather them (only joins of kind `all` can be split)
 *
 * A first-match node hands over to the next part of its edges by a default, since their order
 * matters. Conditions on error edges stay where they are: whether a failure counts as handled
 * depends on them.
 */
import type { FlatEdge, FlatGraph, FlatNode } from "./expand.ts";
import { adjacency } from "./graph.ts";
import type { Graph } from "./graph.ts";
import { FAN_MAX } from "./limits.ts";
import type { Routing } from "./ir.ts";

export interface Split {
  /** The node whose edges it has; null: it has no conditions. */
  of: string | null;
  routing: Routing;
  onNoMatch: "error" | "skip";
}

/** Made nodes by id. */
export type Splits = ReadonlyMap<string, Split>;

/** The graph (the body of `map`) with wide places split, and what was made. `graph` stays as it is. */
export function splitFans(graph: Graph, map: string | null): { flat: FlatGraph; splits: Splits } {
  const splitter = new Splitter(graph, map);
  splitter.splitEntries();
  splitter.splitOut();
  splitter.splitIn();
  return { flat: splitter.flat, splits: splitter.splits };
}

/** Whether a graph has a place that is too wide. */
export function isTooWide(graph: Graph): boolean {
  const isWide = (links: readonly number[]): boolean => links.length > FAN_MAX;
  const entries = graph.in.filter((links) => links.length === 0).length;
  return entries > FAN_MAX || graph.in.some(isWide) || graph.out.some(isWide);
}

class Splitter {
  readonly splits = new Map<string, Split>();
  readonly #entryName: string;
  readonly #nodes: FlatNode[];
  #edges: FlatEdge[];
  readonly #indexOf: Map<string, number>;

  constructor(graph: Graph, map: string | null) {
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
    if (entries.length <= FAN_MAX) return;
    for (const [k, chunk] of chunks(entries).entries()) {
      const split: Split = { of: null, routing: "each", onNoMatch: "error" };
      const fan = this.#make(`${this.#entryName}:${k}`, "", split);
      for (const to of chunk) this.#edges.push(link(fan, to));
    }
  }

  splitOut(): void {
    const { out } = adjacency(this.#nodes.length, this.#edges);
    const kept: FlatEdge[] = [];
    for (const [from, links] of out.entries()) {
      const edges = links.flatMap((index) => this.#edges[index] ?? []);
      if (edges.length <= FAN_MAX) kept.push(...edges);
      else if (this.#nodes[from]?.source?.routing === "first")
        kept.push(...this.#chain(from, edges));
      else kept.push(...this.#fan(from, edges));
    }
    this.#edges = kept;
  }

  /** Groups of edges of one event, each behind a node that passes the output on. */
  #fan(from: number, edges: readonly FlatEdge[]): FlatEdge[] {
    const groups = new Map<string, FlatEdge[]>();
    const kept: FlatEdge[] = [];
    for (const edge of edges) {
      const isFailure = edge.on === "error" || edge.on === "timeout";
      if (isFailure && edge.condition) kept.push(edge);
      else groups.set(edge.on, [...(groups.get(edge.on) ?? []), edge]);
    }
    let k = 0;
    const id = this.#nodes[from]?.id ?? "";
    for (const group of groups.values()) {
      for (const chunk of chunks(group)) {
        const [first] = chunk;
        if (!first) continue;
        const split: Split = { of: id, routing: "each", onNoMatch: "error" };
        const fan = this.#make(`~fan:${id}:${k++}`, first.pointer, split);
        kept.push({ ...first, from, to: fan, condition: null });
        for (const edge of chunk) kept.push({ ...edge, from: fan, on: "success" });
      }
    }
    return kept;
  }

  /** First-match edges in parts: a part's default is the next part, the last has the real one. */
  #chain(from: number, edges: readonly FlatEdge[]): FlatEdge[] {
    const isTried = (edge: FlatEdge): boolean => edge.on === "success" && edge.condition !== null;
    const tried = edges.filter(isTried);
    const kept = edges.filter((edge) => !isTried(edge) && edge.on !== "success");
    const fallback = edges.filter((edge) => edge.on === "success" && !edge.condition);
    const source = this.#nodes[from];
    let at = from;
    for (const [k, part] of chunks(tried, FAN_MAX - 1 - kept.length).entries()) {
      if (k > 0) {
        const onNoMatch = source?.source?.onNoMatch ?? "error";
        const split: Split = { of: source?.id ?? null, routing: "first", onNoMatch };
        const next = this.#make(`~fan:${source?.id}:${k - 1}`, part[0]?.pointer ?? "", split);
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
      if (links.length <= FAN_MAX) continue;
      const id = this.#nodes[to]?.id ?? "";
      for (const [k, chunk] of chunks(links).entries()) {
        const pointer = this.#nodes[to]?.pointer ?? "";
        const split: Split = { of: null, routing: "each", onNoMatch: "error" };
        const gather = this.#make(`~join:${id}:${k}`, pointer, split);
        for (const index of chunk) {
          const edge = this.#edges[index];
          if (edge) this.#edges[index] = { ...edge, to: gather };
        }
        this.#edges.push(link(gather, to));
      }
    }
  }

  #make(id: string, pointer: string, split: Split): number {
    this.splits.set(id, split);
    return this.#nodes.push({ id, pointer, source: null }) - 1;
  }
}

function link(from: number, to: number): FlatEdge {
  return { from, to, on: "success", condition: null, pointer: "" };
}

function chunks<T>(items: readonly T[], size = FAN_MAX): T[][] {
  const result: T[][] = [];
  for (let at = 0; at < items.length; at += size) result.push(items.slice(at, at + size));
  return result;
}
