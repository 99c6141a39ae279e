/**
 * Nodes and edges, and in the nodes that are maps nodes and edges again.
 *
 * Ids are unique in the whole file, so that a journal, a log line or a message can name a node
 * without saying in whose body it is. A body written as one node needs no id: it gets one that the
 * file does not use.
 */
import { rewriteTemplates } from "./config.ts";
import type { Reporter } from "./diagnostics.ts";
import { BODY_GRAPH_SCHEMA, BODY_NODE_SCHEMA } from "./document-schema.ts";
import { asObject, own } from "./document.ts";
import type {
  DocumentEdge,
  DocumentGraph,
  DocumentNode,
  JsonObject,
  NodeHome,
} from "./document.ts";
import type { Json } from "./ir.ts";
import { MAP_DEPTH_MAX } from "./limits.ts";
import { idRef, readCondition, readNode } from "./read-node.ts";
import { RETRY_DEFAULTS } from "./read-policy.ts";
import { reportShape } from "./report-shape.ts";
import { checkSchema } from "./schema-check.ts";

const EDGE_EVENTS = ["success", "error", "timeout", "always"] as const;

/** What lists of nodes and edges, however deep, hold in all. */
export interface BodyScan {
  ids: Set<string>;
  nodes: number;
  edges: number;
}

/** Count nodes and edges of an object with `nodes`, and of the bodies in it; collect ids. */
export function scanBodies(
  root: JsonObject,
  scan: BodyScan = { ids: new Set(), nodes: 0, edges: 0 },
): BodyScan {
  const nodes = own(root, "nodes");
  const edges = own(root, "edges");
  scan.edges += Array.isArray(edges) ? edges.length : 0;
  for (const entry of Array.isArray(nodes) ? nodes : []) scanNode(asObject(entry) ?? {}, scan);
  return scan;
}

function scanNode(entry: JsonObject, scan: BodyScan): void {
  scan.nodes++;
  const id = own(entry, "id");
  if (typeof id === "string") scan.ids.add(id);
  if (own(entry, "type") !== "map") return;
  const body = asObject(own(asObject(own(entry, "config")) ?? {}, "do"));
  if (!body) return;
  if (own(body, "nodes") === undefined) scanNode(body, scan);
  else scanBodies(body, scan);
}

/** Reads the graphs of one file. */
export class GraphReader {
  readonly homes = new Map<string, NodeHome>();
  readonly #reporter: Reporter;
  /** Ids that the file uses anywhere. */
  readonly #taken: ReadonlySet<string>;

  constructor(taken: ReadonlySet<string>, reporter: Reporter) {
    this.#taken = taken;
    this.#reporter = reporter;
  }

  /** The workflow's own graph, with the bodies in it. */
  read(root: JsonObject): DocumentGraph {
    return this.#readGraph(root, { pointer: "", map: null, depth: 0 });
  }

  #readGraph(root: JsonObject, place: BodyPlace): DocumentGraph {
    const { pointer, map } = place;
    const list = own(root, "nodes");
    const nodes = (Array.isArray(list) ? list : []).flatMap(
      (entry, i) => this.#readNode(asObject(entry) ?? {}, `${pointer}/nodes/${i}`, place) ?? [],
    );
    const output = own(root, "output");
    return {
      nodes,
      edges: readEdges(own(root, "edges"), pointer),
      output: output === undefined || output === null ? undefined : rewriteTemplates(output),
      ...{ pointer, map, isSingle: false },
    };
  }

  #readNode(entry: JsonObject, pointer: string, place: BodyPlace): DocumentNode | undefined {
    const node = readNode(entry, pointer, this.#reporter);
    if (!node) return undefined;
    const first = this.homes.get(node.id);
    if (first) {
      this.#reporter.report({
        code: "GV1014",
        pointer: `${pointer}/id`,
        message: `another node has the id \`${node.id}\``,
        related: [{ message: "the first one", pointer: `${first.pointer}/id` }],
      });
      return undefined;
    }
    this.homes.set(node.id, { pointer, map: place.map });
    if (node.type !== "map") return node;
    const config = asObject(own(entry, "config")) ?? {};
    const depth = place.depth + 1;
    node.body = this.#readBody(own(config, "do"), {
      ...{ pointer: `${pointer}/config/do`, map: node.id, depth },
    });
    if (own(entry, "retry") !== undefined) this.#handRetryOn(node, pointer);
    return node;
  }

  #readBody(value: Json | undefined, place: BodyPlace): DocumentGraph | null {
    const body = asObject(value);
    const { pointer, map } = place;
    if (!body) return null;
    if (place.depth > MAP_DEPTH_MAX) {
      const message = `more than ${MAP_DEPTH_MAX} maps inside one another`;
      const hint = "move inner maps into a workflow of their own";
      this.#reporter.report({ code: "GV2025", pointer, message, hint });
      return null;
    }
    if (own(body, "nodes") !== undefined) {
      reportShape(checkSchema(BODY_GRAPH_SCHEMA, body), pointer, this.#reporter);
      return this.#readGraph(body, place);
    }
    reportShape(checkSchema(BODY_NODE_SCHEMA, body), pointer, this.#reporter);
    const named = own(body, "id") === undefined ? { ...body, id: this.#freeId(map) } : body;
    const node = this.#readNode(named, pointer, place);
    return {
      nodes: node ? [node] : [],
      edges: [],
      output: undefined,
      ...{ pointer, map, isSingle: true },
    };
  }

  /** Not taken by another body either: those begin with the ids of their own maps. */
  #freeId(map: string | null): string {
    const base = `${map}-do`;
    let id = base;
    for (let k = 2; this.#taken.has(id); k++) id = `${base}-${k}`;
    return id;
  }

  /**
   * What can be tried again is an element's work, not the list: `retry` of a map belongs to the one
   * node of its body. With several nodes the author has to say which.
   */
  #handRetryOn(map: DocumentNode, pointer: string): void {
    const [only] = map.body?.isSingle ? map.body.nodes : [];
    if (only?.retry === RETRY_DEFAULTS) {
      only.retry = map.retry;
      only.retryPointer = map.retryPointer;
      if (only.type === "map") this.#handRetryOn(only, pointer);
    } else if (map.body) {
      const why = only ? `\`${only.id}\` has a retry of its own` : "its body has several nodes";
      this.#reporter.report({
        code: "GV4006",
        pointer: `${pointer}/retry`,
        atKey: true,
        message: `the map \`${map.id}\` cannot be tried again as a whole, and ${why}`,
        hint: "put `retry` on the nodes of the body that are to be tried again",
      });
    }
    map.retry = RETRY_DEFAULTS;
  }
}

interface BodyPlace {
  pointer: string;
  map: string | null;
  depth: number;
}

function readEdges(list: Json | undefined, base: string): DocumentEdge[] {
  const edges: DocumentEdge[] = [];
  for (const [i, entry] of (Array.isArray(list) ? list : []).entries()) {
    const edge = asObject(entry) ?? {};
    const pointer = `${base}/edges/${i}`;
    const from = idRef(own(edge, "from"), `${pointer}/from`);
    const to = idRef(own(edge, "to"), `${pointer}/to`);
    if (!from || !to) continue;
    edges.push({
      from,
      to,
      on: EDGE_EVENTS.find((event) => event === own(edge, "on")) ?? "success",
      condition: readCondition(own(edge, "condition"), `${pointer}/condition`),
      pointer,
    });
  }
  return edges;
}
