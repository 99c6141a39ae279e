/**
 * The state of each node of a run as people see it, and what follows from one node's end for others.
 *
 * The journal writes no implied facts. From an out-edge's value follows what becomes of a target
 * with one in-edge: live makes it ready, dead or failed skips it and everything behind it up to
 * the next joins. Joins are told explicitly. A loop dies as a whole, by the edges of its latch.
 */
import type { Ir, IrNode } from "../compiler/ir.ts";
import type { NodeResult } from "./journal.ts";
import type { NodeStatus } from "./status.ts";
import type { WaitInfo } from "./waits.ts";

/** Its result is that of the last activation. */
export interface NodeView extends NodeResult {
  status: NodeStatus;
  /** How often a token of this node was activated. */
  activations: number;
  /** Attempts of the last activation; 0 before the first. */
  attempts: number;
  /** Redis time, ms: when it became ready, when it ended. */
  started_at: number | null;
  ended_at: number | null;
  /** While it is `waiting`: for whom or what, until when (Redis time, ms; null: for ever). */
  wait?: NodeWait;
}

/** `for` is null for a delay. */
export interface NodeWait {
  for: WaitInfo | null;
  untilMs: number | null;
  /** Key of the rate limit under which it waits for its start. */
  rate?: string;
  /** Name of the circuit that is open. */
  circuit?: string;
}

/** What a node does not leave again but for another round or a redrive. */
export const DECIDED: ReadonlySet<NodeStatus> = new Set([
  "completed",
  "failed",
  "skipped",
  "cancelled",
]);

export class NodeViews {
  readonly ir: Ir;
  readonly byId: { [id: string]: NodeView } = {};
  /** Node that changed last and is not skipped. */
  current: string | null = null;
  #decided = 0;
  /** Of maps under way: the share of their elements that have ended. */
  readonly #parts = new Map<string, number>();
  #changed = new Set<string>();

  constructor(ir: Ir) {
    this.ir = ir;
    for (const node of ir.nodes) {
      const fresh: NodeView = {
        status: "pending",
        activations: 0,
        attempts: 0,
        started_at: null,
        ended_at: null,
      };
      Object.defineProperty(this.byId, node.id, { value: fresh, enumerable: true });
    }
  }

  /** Ids of the nodes that have changed since the last call. */
  takeChanged(): string[] {
    const changed = [...this.#changed];
    this.#changed = new Set();
    return changed;
  }

  /** Share of the nodes that are decided, 0 to 100: maps by their elements. */
  get share(): number {
    let decided = this.#decided;
    this.#parts.forEach((part) => (decided += part));
    return Math.floor((100 * decided) / Math.max(this.ir.nodes.length, 1));
  }

  /** Counts an element of a map that has ended. Of a large map people are told every hundredth. */
  element(node: IrNode, failed: boolean): void {
    const view = this.of(node);
    const { elements = { total: 0, done: 0, failed: 0 } } = view;
    const next = {
      ...elements,
      done: elements.done + 1,
      failed: elements.failed + (failed ? 1 : 0),
    };
    if (!DECIDED.has(view.status)) {
      this.#parts.set(node.id, Math.min(1, next.done / Math.max(next.total, 1)));
    }
    if (percent(next) > percent(elements) || failed) {
      this.set(node, { elements: next });
    } else {
      view.elements = next;
    }
  }

  /** Those of them that are not decided yet. */
  cancel(nodes: Iterable<number>, tMs: number): void {
    for (const index of nodes) {
      const node = this.at(index);
      if (!DECIDED.has(this.of(node).status)) {
        this.set(node, { status: "cancelled", ended_at: tMs });
      }
    }
  }

  /** What becomes of the targets of a node that has ended with these values of its out-edges. */
  follow(node: IrNode, edges: string, tMs: number): void {
    node.out.forEach((edge, place) => {
      const target = this.at(this.ir.edges[edge]?.to ?? -1);
      if (target.join.arity > 1 || edges === "") {
        return;
      }
      if (edges[place] === "L") {
        this.ready(target, tMs);
      } else {
        this.skip(target, tMs);
      }
    });
  }

  /** Skips a node and what dies with it, up to the next joins. */
  skip(start: IrNode, tMs: number): void {
    const stack = [start];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      const outer = node.head_of[0];
      const loop = outer === undefined ? undefined : this.ir.loops[outer];
      const dead = loop === undefined ? [node] : loop.body.map((n) => this.at(n));
      dead.forEach((n) => this.set(n, { status: "skipped", ended_at: tMs }));
      const last = loop === undefined ? node : this.at(loop.latch);
      for (const edge of last.out) {
        const target = this.at(this.ir.edges[edge]?.to ?? -1);
        if (target.join.arity <= 1) {
          stack.push(target);
        }
      }
    }
  }

  /** It is activated, for the first time or once more. */
  ready(at: number | IrNode, tMs: number): void {
    const node = typeof at === "number" ? this.at(at) : at;
    const view = this.of(node);
    this.set(node, {
      status: "ready",
      activations: view.activations + 1,
      attempts: 1,
      started_at: tMs,
      ended_at: null,
    });
  }

  /** Changes what is seen of it; what a former round left goes with a new one. */
  set(node: IrNode, change: Partial<NodeView>): void {
    const view = this.of(node);
    if (change.status === "ready" || change.status === "skipped" || change.status === "failed") {
      forget(view); // what an earlier round left is not the outcome of this one
    }
    if (change.status !== undefined) {
      delete view.wait;
      this.#decided += Number(DECIDED.has(change.status)) - Number(DECIDED.has(view.status));
      if (change.status !== "running") {
        this.#parts.delete(node.id); // counted as a whole, or begun anew
      }
    }
    Object.assign(view, change);
    this.#changed.add(node.id);
    if (change.status !== "skipped" && change.status !== "cancelled") {
      this.current = node.id;
    }
  }

  /** Its result is this one again, and its status what it was. */
  restore(node: IrNode, result: NodeResult): void {
    const view = this.of(node);
    forget(view);
    Object.assign(view, result);
    this.#changed.add(node.id);
  }

  /** Throws if the workflow has none with that index. */
  at(index: number): IrNode {
    const node = this.ir.nodes[index];
    if (node === undefined) {
      throw new Error(`workflow ${this.ir.name} has no node ${index}`);
    }
    return node;
  }

  /** What is seen of it. */
  of(node: IrNode): NodeView {
    return this.byId[node.id] as NodeView;
  }
}

/** What is to be seen of its last end. */
export function resultOf({ output, error, elements, errors }: NodeView): NodeResult {
  return {
    ...(output !== undefined && { output }),
    ...(error !== undefined && { error }),
    ...(elements !== undefined && { elements }),
    ...(errors !== undefined && { errors }),
  };
}

function forget(view: NodeView): void {
  delete view.output;
  delete view.error;
  delete view.elements;
  delete view.errors;
}

function percent({ total, done }: { total: number; done: number }): number {
  return Math.floor((100 * done) / Math.max(total, 1));
}
