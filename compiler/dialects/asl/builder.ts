/**
 * Nodes and edges of a native graph in the making.
 *
 * A state's input is what the state before it put out. A node with several in-edges gets an object
 * instead, with the one that came; so how a node names its input is known only when all edges are,
 * and nodes are written last.
 */
import type { JsonObject } from "../../document.ts";
import type { Json } from "../../ir.ts";
import type { Draft } from "../draft.ts";

/** Ids that are in use, in the whole file. */
export class Ids {
  readonly #taken = new Set<string>();

  /** An id that looks like `name` and that nothing else has. */
  take(name: string): string {
    const letters = name.replace(/[^A-Za-z0-9_-]+/g, "_").replace(/^_+|_+$/g, "");
    const plain = letters.slice(0, 150) || "state";
    let id = plain;
    for (let n = 2; this.#taken.has(id); n++) id = `${plain}_${n}`;
    this.#taken.add(id);
    return id;
  }
}

/** What a node that has its input from `input` consists of, besides its id. */
export type Build = (input: string) => JsonObject;

export interface Handle {
  id: string;
  pointer: string;
  build: Build;
  inDegree: number;
}

export interface EdgeMore {
  on?: "error";
  condition?: string;
  description?: string;
}

/** The only value that came, of several in-edges of which one is live. */
export const ONLY_VALUE = "values(data)[0]";

export class GraphBuilder {
  readonly #draft: Draft;
  readonly #handles: Handle[] = [];
  readonly #edges: JsonObject[] = [];

  constructor(draft: Draft) {
    this.#draft = draft;
  }

  node(id: string, pointer: string, build: Build): Handle {
    const handle = { id, pointer, build, inDegree: 0 };
    this.#handles.push(handle);
    return handle;
  }

  /** A node that passes on what comes. */
  pass(id: string, pointer: string): Handle {
    return this.node(id, pointer, (input) => ({ type: "pass", ...inputConfig(input) }));
  }

  edge(from: Handle, to: Handle, pointer: string, more: EdgeMore = {}): void {
    to.inDegree++;
    const edge = this.#draft.at({ from: from.id, to: to.id, ...more } as JsonObject, pointer);
    this.#draft.key(edge, "to", pointer);
    if (more.condition !== undefined) this.#draft.key(edge, "condition", pointer);
    this.#edges.push(edge);
  }

  /** An edge that the config of its source implies. */
  implied(to: Handle): void {
    to.inDegree++;
  }

  /** The graph; to be asked for once, when all edges are drawn. */
  finish(): { nodes: Json[]; edges: Json[] } {
    const nodes = this.#handles.map(({ id, pointer, build, inDegree }) =>
      this.#draft.at({ id, ...build(inDegree > 1 ? ONLY_VALUE : "data") }, pointer),
    );
    return { nodes, edges: this.#edges };
  }
}

/** `config` with an input that is not what came. */
export function inputConfig(input: string): { config?: JsonObject } {
  return input === "data" ? {} : { config: { input: `\${${input}}` } };
}
