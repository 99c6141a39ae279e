/**
 * From the document to nodes and edges with numbers: everything that implies an edge becomes one.
 *
 *   edges            as drawn
 *   branch           an edge per rule and target, in the order of the rules
 *   break_path       `success` edges of the loop node
 *   timeout_path     `exhausted` edges of the loop node
 *
 * An author may draw implied edges as well; the drawing adds nothing then. The edge back to the
 * head of a loop is not an edge here: it is the loop. A rule with several targets needs a node that
 * fans out, because of a first-match node's edges only one is taken.
 */
import type { Reporter } from "./diagnostics.ts";
import type {
  DocumentEdge,
  DocumentLoop,
  DocumentNode,
  ExpressionSource,
  DocumentGraph,
  IdRef,
  NodeHome,
} from "./document.ts";
import type { EdgeOn } from "./ir.ts";

/** A node of the graph: of the document, or made here to fan out. */
export interface FlatNode {
  id: string;
  pointer: string;
  source: DocumentNode | null;
}

export interface FlatEdge {
  from: number;
  to: number;
  on: EdgeOn;
  condition: ExpressionSource | null;
  pointer: string;
}

export interface FlatGraph {
  nodes: FlatNode[];
  /** Edges of one source in the order in which they are tried. */
  edges: FlatEdge[];
  /** Index of a node of the document by its id. */
  indexOf: Map<string, number>;
}

/**
 * Expand a graph of a document. Edges that cannot be are reported and left out; `homes` has the
 * nodes of other graphs, for messages.
 */
export function expandDocument(
  document: DocumentGraph,
  reporter: Reporter,
  homes: ReadonlyMap<string, NodeHome> = new Map(),
): FlatGraph {
  const expander = new Expander(document, reporter, homes);
  document.nodes.forEach((node, index) => expander.addBranch(node, index));
  for (const edge of document.edges) expander.addDrawn(edge);
  document.nodes.forEach((node, index) => expander.addLoopPaths(node, index));
  return expander.graph;
}

class Expander {
  readonly graph: FlatGraph;
  readonly #reporter: Reporter;
  readonly #homes: ReadonlyMap<string, NodeHome>;
  readonly #seen = new Map<string, FlatEdge>();
  /** `from>to` of drawn success edges: a break path to the same node adds nothing. */
  readonly #drawn = new Set<string>();

  constructor(document: DocumentGraph, reporter: Reporter, homes: ReadonlyMap<string, NodeHome>) {
    this.#reporter = reporter;
    this.#homes = homes;
    const nodes = document.nodes.map((node) => ({
      id: node.id,
      pointer: node.pointer,
      source: node,
    }));
    const indexOf = new Map(nodes.map((node, index) => [node.id, index]));
    this.graph = { nodes, edges: [], indexOf };
  }

  addBranch(node: DocumentNode, from: number): void {
    if (!node.branch) return;
    const groups = node.branch.rules.map((rule) => ({ ...rule, isDefault: false }));
    const fallback = { condition: null, targets: node.branch.default, isDefault: true };
    for (const [k, group] of [...groups, fallback].entries()) {
      const { condition, targets } = group;
      if (node.routing !== "first" || targets.length < 2) {
        for (const to of targets) this.#connect(from, to, "success", condition);
        continue;
      }
      const fan = this.#addFan(node, k, targets[0]?.pointer ?? node.pointer);
      const pointer = targets[0]?.pointer ?? node.pointer;
      this.#push({ from, to: fan, on: "success", condition, pointer });
      for (const to of targets) this.#connect(fan, to, "success", null);
    }
  }

  addDrawn(edge: DocumentEdge): void {
    const from = this.#resolve(edge.from, "edge from");
    const to = this.#resolve(edge.to, "edge to");
    if (from === undefined || to === undefined) return;
    const source = this.graph.nodes[from]?.source;
    if (source && edge.on === "success") {
      if (source.loop && isImpliedByLoop(source.loop, edge)) {
        this.#warnBackEdge(source.loop, edge);
        return;
      }
      if (isImpliedByBranch(source, edge)) return;
      this.#drawn.add(`${from}>${to}`);
    }
    const { on, condition, pointer } = edge;
    this.#push({ from, to, on, condition, pointer });
  }

  addLoopPaths(node: DocumentNode, from: number): void {
    if (!node.loop) return;
    for (const target of node.loop.breakPath) {
      const to = this.graph.indexOf.get(target.id);
      if (to !== undefined && this.#drawn.has(`${from}>${to}`)) continue;
      this.#connect(from, target, "success", null);
    }
    for (const target of node.loop.timeoutPath) this.#connect(from, target, "exhausted", null);
  }

  #connect(from: number, target: IdRef, on: EdgeOn, condition: ExpressionSource | null): void {
    const to = this.#resolve(target, "edge to");
    if (to === undefined) return;
    this.#push({ from, to, on, condition, pointer: target.pointer });
  }

  #addFan(node: DocumentNode, k: number, pointer: string): number {
    const id = `~branch:${node.id}:${k}`;
    return this.graph.nodes.push({ id, pointer, source: null }) - 1;
  }

  #resolve(ref: IdRef, what: string): number | undefined {
    const index = this.graph.indexOf.get(ref.id);
    if (index !== undefined) return index;
    const home = this.#homes.get(ref.id);
    if (home) {
      const where =
        home.map === null ? "outside of all maps" : `in the body of map \`${home.map}\``;
      this.#reporter.report({
        code: "GV2001",
        pointer: ref.pointer,
        message: `${what} \`${ref.id}\`, which is ${where}: edges stay in one body`,
        related: [{ message: `\`${ref.id}\``, pointer: home.pointer }],
      });
      return undefined;
    }
    this.#reporter.report({
      code: "GV2001",
      pointer: ref.pointer,
      message: `${what} \`${ref.id}\`, but there is no such node`,
      meant: { name: ref.id, known: this.graph.indexOf.keys() },
    });
    return undefined;
  }

  #push(edge: FlatEdge): void {
    const { from, to, on, condition, pointer } = edge;
    const name = this.graph.nodes[from]?.id ?? "";
    if (from === to) {
      this.#reporter.report({
        code: "GV2002",
        pointer,
        message: `\`${name}\` has an edge to itself`,
        hint: "a node is repeated by making it a `loop` whose loop_back_to is the node itself",
      });
      return;
    }
    const key = JSON.stringify([from, to, on, condition?.source ?? null]);
    const twin = this.#seen.get(key);
    if (!twin) {
      this.#seen.set(key, edge);
      this.graph.edges.push(edge);
      return;
    }
    this.#reporter.report({
      code: "GV2003",
      pointer,
      message: `this edge from \`${name}\` to \`${this.graph.nodes[to]?.id}\` exists already`,
      hint: "two edges may join the same nodes if their condition or `on` differ",
      related: [{ message: "the other one", pointer: twin.pointer }],
    });
  }

  #warnBackEdge(loop: DocumentLoop, edge: DocumentEdge): void {
    if (!edge.condition || edge.condition.source === loop.condition?.source) return;
    this.#reporter.report({
      code: "GV2018",
      pointer: edge.condition.pointer,
      message: "this edge is the loop's way back: its condition is ignored",
      hint: "the loop's own `condition` decides on another round",
    });
  }
}

/** The way back to the head, or a drawing of the timeout path. */
function isImpliedByLoop(loop: DocumentLoop, edge: DocumentEdge): boolean {
  if (edge.to.id === loop.head.id) return true;
  const has = (path: IdRef[]): boolean => path.some((target) => target.id === edge.to.id);
  return !edge.condition && has(loop.timeoutPath) && !has(loop.breakPath);
}

function isImpliedByBranch(node: DocumentNode, edge: DocumentEdge): boolean {
  if (!node.branch || edge.condition) return false;
  const targets = [...node.branch.default, ...node.branch.rules.flatMap((rule) => rule.targets)];
  return targets.some((target) => target.id === edge.to.id);
}
