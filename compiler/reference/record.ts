/**
 * What happened in a run, kept as it happens: the state of every node by its last decision, the
 * failures that nothing handled, and the trace.
 */
import { withoutOutput } from "../../condition/index.ts";
import type { Ir, Json } from "../ir.ts";
import { nodeAt } from "./data.ts";
import type { Frame } from "./frame.ts";
import type { JoinDecision } from "./join.ts";
import type { EdgeValue, HandlerError, NodeResult, ReferenceError, TraceStep } from "./types.ts";

type Open = Omit<NodeResult, "status"> & { status: NodeResult["status"] | "open" };

export class Record {
  readonly #ir: Ir;
  readonly #nodes: Open[];
  /** The last error of each node that failed unhandled. */
  readonly #unhandled = new Map<number, ReferenceError>();
  readonly #trace: TraceStep[];
  readonly #home: string;

  /** Of the graph of a run, or of an element with its home; all write to one trace. */
  constructor(ir: Ir, home: string, trace: TraceStep[]) {
    this.#ir = ir;
    this.#home = home;
    this.#trace = trace;
    this.#nodes = ir.nodes.map(() => ({ status: "pending", activations: 0, attempts: 0 }));
  }

  readonly statusOf = (index: number): NodeResult["status"] => {
    const status = this.#at(index).status;
    return status === "open" ? "cancelled" : status;
  };

  activated(index: number, scope: string): void {
    const { activations } = this.#at(index);
    this.#nodes[index] = { status: "open", activations: activations + 1, attempts: 1 };
    this.#tell({ event: "node.activated", ...this.#name(index, scope), attempt: 1 });
  }

  retried(index: number, scope: string, attempt: number, cause: HandlerError): void {
    const { code, message } = cause;
    const error = { code, message, node: this.#id(index), scope, attempts: attempt };
    this.#at(index).attempts = attempt;
    this.#tell({ event: "node.retrying", ...this.#name(index, scope), attempt, error });
  }

  /** The node waits for somebody, or for the graph inside it. */
  parked(index: number, scope: string): void {
    this.#at(index).status = "waiting";
    this.#tell({ event: "node.parked", ...this.#name(index, scope) });
  }

  resumed(index: number, scope: string): void {
    this.#at(index).status = "open";
    this.#tell({ event: "node.resumed", ...this.#name(index, scope) });
  }

  expanded(index: number, scope: string, count: number): void {
    this.#at(index).status = "waiting";
    this.#tell({ event: "map.expanded", ...this.#name(index, scope), count });
  }

  completed(
    index: number,
    scope: string,
    attempt: number,
    output: Json,
    edges: readonly EdgeValue[],
  ): void {
    Object.assign(this.#at(index), { status: "completed", attempts: attempt, output });
    const sent = this.#sent(index, edges);
    this.#tell({ event: "node.completed", ...this.#name(index, scope), attempt, output, ...sent });
  }

  /** It does not run, and counts as if it had put this out. */
  given(index: number, output: Json): void {
    Object.assign(this.#at(index), { status: "completed", output });
  }

  failed(
    index: number,
    scope: string,
    attempt: number,
    error: ReferenceError,
    edges: readonly EdgeValue[],
    isHandled: boolean,
  ): void {
    Object.assign(this.#at(index), { status: "failed", attempts: attempt, error });
    if (!isHandled) this.#unhandled.set(index, error);
    const sent = this.#sent(index, edges);
    this.#tell({ event: "node.failed", ...this.#name(index, scope), attempt, error, ...sent });
  }

  /** The activations before it still count; what they put out does not. */
  skipped(index: number, scope: string): void {
    const { activations, attempts } = this.#at(index);
    this.#nodes[index] = { status: "skipped", activations, attempts };
    this.#tell({ event: "node.skipped", ...this.#name(index, scope) });
  }

  voided(index: number, scope: string, attempt: number): void {
    this.#at(index).status = "cancelled";
    this.#tell({ event: "node.voided", ...this.#name(index, scope), attempt });
  }

  /** It has lost: it does not run any more, if it ever has. */
  cancelled(index: number): void {
    const node = this.#at(index);
    if (node.status === "pending") node.status = "cancelled";
  }

  joined(
    index: number,
    scope: string,
    arrivals: readonly (EdgeValue | null)[],
    decision: Exclude<JoinDecision, { kind: "wait" }>,
  ): void {
    const skip = decision.kind === "skip" && decision.value === "dead" ? "skipped" : "failed";
    const outcome = decision.kind === "fire" ? "fired" : skip;
    const name = this.#name(index, scope);
    this.#tell({ event: "join.decided", ...name, arrivals: [...arrivals], outcome });
  }

  wentRound(head: number, scope: string): void {
    this.#tell({ event: "loop.round", ...this.#name(head, scope) });
  }

  loopEnded(latch: number, scope: string): void {
    this.#tell({ event: "loop.ended", ...this.#name(latch, scope) });
  }

  /** Under `continue`: the run's error if any failure was not handled. */
  failuresError(): ReferenceError | undefined {
    const nodes = this.#failures().map(([index, error]) => {
      return { id: this.#id(index), error: withoutOutput(error) };
    });
    const [first] = nodes;
    if (!first) return undefined;
    const message = `${nodes.length} node(s) failed: ${nodes.map(({ id }) => id).join(", ")}`;
    const details = { nodes: nodes as unknown as Json };
    return { code: first.error.code, message, node: first.id, details };
  }

  /** With no token left, no join may still hold some: that would be a run that never ends. */
  assertDecided(frame: Frame): void {
    for (const [node, { arrivals, isDecided }] of frame.joins) {
      if (isDecided || !frame.isAlive()) continue;
      const missing = nodeAt(this.#ir, node).in.filter((_, place) => arrivals[place] === null);
      const where = `"${this.#id(node)}" waits in "${frame.scope}"`;
      throw new Error(`the IR is broken: ${where} for edges ${missing.join(", ")}`);
    }
    for (const inner of frame.rounds.values()) this.assertDecided(inner);
  }

  /** The nodes by id. What still waits is cancelled unless the run goes on waiting. */
  nodes(isWaiting: boolean): { [id: string]: NodeResult } {
    const nodes: { [id: string]: NodeResult } = Object.create(null) as { [id: string]: NodeResult };
    this.#ir.nodes.forEach((node, index) => {
      if (node.synthetic === true) return;
      const status = this.statusOf(index);
      const isLeft = status === "waiting" && !isWaiting;
      nodes[node.id] = { ...this.#at(index), status: isLeft ? "cancelled" : status };
    });
    return nodes;
  }

  /** Ids of nodes whose failure no edge handled, in topological order. */
  failedNodes(): string[] {
    return this.#failures().map(([index]) => this.#id(index));
  }

  /** Failures that nothing handled, in topological order. */
  #failures(): [number, ReferenceError][] {
    return [...this.#unhandled].sort(([a], [b]) => a - b);
  }

  #sent(index: number, edges: readonly EdgeValue[]): Pick<TraceStep, "edges"> {
    if (edges.length === 0) return {};
    const { out } = nodeAt(this.#ir, index);
    const to = (place: number): string => this.#id(this.#ir.edges[out[place] ?? -1]?.to ?? -1);
    return { edges: edges.map((value, place) => ({ to: to(place), value })) };
  }

  #name(index: number, scope: string): { node: string; scope: string; home?: string } {
    const home = this.#home === "" ? {} : { home: this.#home };
    return { node: this.#id(index), scope, ...home };
  }

  #id(index: number): string {
    return nodeAt(this.#ir, index).id;
  }

  #at(index: number): Open {
    const node = this.#nodes[index];
    if (!node) throw new Error(`the IR is broken: there is no node ${index}`);
    return node;
  }

  #tell(step: TraceStep): void {
    this.#trace.push(step);
  }
}
