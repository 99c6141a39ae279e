/**
 * The nodes that expressions of one graph can name: its own, and around the body of a map those of
 * the graphs further out. What is read is noted where the engine has to fetch it: with the reading
 * node for its own graph, with the map for what its body reads from outside.
 */
import { Certainty } from "./certainty.ts";
import type { Report } from "./diagnostics.ts";
import type { DocumentGraph, DocumentNode } from "./document.ts";
import type { Graph } from "./graph.ts";
import type { Json } from "./ir.ts";
import { inputSchemaOf, outputSchemaOf } from "./known-schemas.ts";

/** Nodes on a way that is shown. */
const WAY_MAX = 8;

/** What one node reads, by index. */
export interface NodeReads {
  refs: Set<number>;
  edgeRefs: Set<number>;
  /** What the body of a map reads, at any depth, of the graph in which the map stands. */
  outerRefs: Set<number>;
  usesInput: boolean;
  usesAttempt: boolean;
}

/** Nothing read so far. */
export function newReads(): NodeReads {
  const uses = { usesInput: false, usesAttempt: false };
  return { refs: new Set(), edgeRefs: new Set(), outerRefs: new Set(), ...uses };
}

/** The place of a map, as its body sees it. */
export interface Around {
  nodes: VisibleNodes;
  /** Of the map; null if the graph around it has no numbers. */
  index: number | null;
  inLoop: boolean;
}

/** What is wrong with reading a node. */
export type Unavailable = Pick<Report, "code" | "message" | "hint">;

/** A node that was found, and who reads it in the graph where it is: a node there, or the output. */
interface Found {
  home: VisibleNodes;
  node: DocumentNode;
  /** Null if its graph has no numbers. */
  index: number | null;
  reader: number | null;
}

export class VisibleNodes {
  readonly around: Around | undefined;
  /** What each node of the graph reads. */
  readonly reads: NodeReads[];
  readonly #graph: Graph | undefined;
  readonly #certainty: Certainty | undefined;
  readonly #own: ReadonlyMap<string, DocumentNode>;

  constructor(part: DocumentGraph, graph: Graph | undefined, around: Around | undefined) {
    this.around = around;
    this.#graph = graph;
    this.#certainty = graph && new Certainty(graph);
    this.#own = new Map(part.nodes.map((node) => [node.id, node]));
    this.reads = (graph?.nodes ?? []).map(newReads);
  }

  /** Ids of the graph's own nodes and of those around it. */
  ids(): Set<string> {
    return new Set([...this.#own.keys(), ...(this.around?.nodes.ids() ?? [])]);
  }

  /** The node of an id as `reader` sees it; undefined if it sees none. */
  find(id: string, reader: number | null): Found | undefined {
    const node = this.#own.get(id);
    if (!node) return this.around?.nodes.find(id, this.around.index);
    return { home: this, node, index: this.#graph?.indexOf.get(id) ?? null, reader };
  }

  /** The schema of what a node of this graph gets; entries of a map's body get its elements. */
  inputSchema(node: number, runInput: Json | null): Json | null {
    return this.#graph ? inputSchemaOf(this.#graph, node, this.around ? null : runInput) : null;
  }

  /** The schema of what a node of this graph puts out. */
  outputSchema(node: number, runInput: Json | null): Json | null {
    return this.#graph ? outputSchemaOf(this.#graph, node, this.around ? null : runInput) : null;
  }

  /** The input of the run is handed down through every map around. */
  noteInput(reads: NodeReads): void {
    reads.usesInput = true;
    if (!this.around || this.around.index === null) return;
    const { nodes, index } = this.around;
    const outer = nodes.reads[index];
    if (outer) nodes.noteInput(outer);
  }

  /** So is which attempt of the run it is. */
  noteAttempt(reads: NodeReads): void {
    reads.usesAttempt = true;
    const { nodes, index } = this.around ?? {};
    const outer = nodes?.reads[index ?? -1];
    if (outer) nodes?.noteAttempt(outer);
  }

  /** A body reads one of this graph's nodes: so does its map. */
  noteOuter(map: number | null, index: number): void {
    if (map !== null) this.reads[map]?.outerRefs.add(index);
  }

  /**
   * Why the output of node `index` may not be there for `reader` (null: for the output of the run or
   * of an element); undefined if it is, or if nothing can be said.
   */
  unavailable(index: number, reader: number | null, isGuarded: boolean): Unavailable | undefined {
    const certainty = this.#certainty;
    if (!certainty) return undefined;
    const nameOf = (node: number): string => this.#graph?.nodes[node]?.id ?? "";
    const id = nameOf(index);
    if (reader !== null && !certainty.isUpstream(index, reader)) {
      return notUpstream(id, nameOf(reader), certainty.isUpstream(reader, index));
    }
    if (isGuarded) return undefined;
    const isThere =
      reader === null ? certainty.isCertainAtEnd(index) : certainty.isCertain(index, reader);
    if (isThere) return undefined;
    const whose = this.around ? "an element" : "the run";
    const where = reader === null ? `the output of ${whose} is made` : `\`${nameOf(reader)}\` runs`;
    const way = certainty.pathWithout(index, reader) ?? [];
    const isShown = way.length > 1 && way.length <= WAY_MAX;
    const example = isShown ? `, not on the way ${way.map(nameOf).join(" > ")}` : "";
    const message = `\`${id}\` has an output only in some of the cases in which ${where}${example}`;
    return { code: "GV3006", message, hint: `guard it: has(${asName(id)}.output) ? … : …` };
  }
}

/** `isAfter`: a path leads from the reader to the node, so an edge back would close a cycle. */
function notUpstream(id: string, reader: string, isAfter: boolean): Unavailable {
  if (id === reader) {
    return { code: "GV3005", message: `\`${id}\` reads its own output before it has one` };
  }
  if (isAfter) {
    return {
      code: "GV3005",
      message: `\`${id}\` runs after \`${reader}\`: it has no output by then`,
      hint: `read it in \`${id}\` or after it; what is to be done again stands in a loop`,
    };
  }
  return {
    code: "GV3005",
    message: `\`${id}\` is not upstream of \`${reader}\`: it need not have run by then`,
    hint: `draw an edge, directly or over other nodes, from \`${id}\` to \`${reader}\``,
  };
}

/** How an expression names a node. */
export function asName(id: string): string {
  return /^[A-Za-z_]\w*$/.test(id) ? `ctx.${id}` : `ctx["${id}"]`;
}
