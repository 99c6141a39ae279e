/**
 * Folding a run's journal into what people ask for: the state of every node, the run's status and
 * progress. The feed, the CLI and the recovery of a run all see it through this one function.
 *
 * The journal writes no implied facts. From an out-edge's value follows what becomes of a target
 * with one in-edge: live makes it ready, dead or failed skips it and everything behind it up to
 * the next joins. Joins are told explicitly. A loop dies as a whole, by the edges of its latch.
 */
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import { withoutOutput } from "../condition/index.ts";
import { parseRecord } from "./entry.ts";
import type { NodeResult, Redriven, Transition } from "./journal.ts";
import { isTerminal, type NodeStatus, type RunError, type RunStatus } from "./status.ts";
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

const DECIDED: ReadonlySet<NodeStatus> = new Set(["completed", "failed", "skipped", "cancelled"]);

export class RunView {
  readonly ir: Ir;
  readonly nodes: { [id: string]: NodeView } = {};
  status: RunStatus = "QUEUED";
  error: RunError | null = null;
  output: Json = null;
  startedAt: number | null = null;
  endedAt: number | null = null;
  /**
   * Set while the run is asleep, as far as the journal tells: nothing has happened since then, and
   * its earliest timer is due at `untilMs` (null: it has none).
   */
  asleep: { sinceMs: number; untilMs: number | null } | null = null;
  /** Node that changed last and is not skipped. */
  current_step: string | null = null;
  /** What its nodes say of it (`sets_status`), the last of them in the journal; null: nothing. */
  businessStatus: string | null = null;
  #progress = 0;
  #decided = 0;
  /** Of maps under way: the share of their elements that have ended. */
  readonly #parts = new Map<string, number>();
  /** Nodes that failed without an edge that handles it, whatever became of them later. */
  #unhandled = new Map<number, RunError | null>();
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
      Object.defineProperty(this.nodes, node.id, { value: fresh, enumerable: true });
    }
  }

  /**
   * Share of nodes decided, 0 to 100, a map by its elements; never falls, whoever begins to look when,
   * and 100 only at the end. What is not taken is decided, too; another round of a loop takes nothing
   * back.
   */
  get progress(): number {
    return isTerminal(this.status) ? 100 : this.#progress;
  }

  /** Applies one transition; returns the ids of the nodes whose state it changed. */
  apply(t: Transition, tMs: number): string[] {
    this.#changed = new Set();
    this.asleep = t.e === "run.hibernated" ? { sinceMs: tMs, untilMs: t.due ?? null } : null;
    this.businessStatus = t.bs ?? this.businessStatus;
    if (t.e.startsWith("run.")) {
      this.#run(t, tMs);
    } else if (t.m !== undefined) {
      // Inside an element of a map: of that, people see how many have ended.
    } else if (t.e.startsWith("map.")) {
      this.#map(t, this.#node(t.n ?? -1));
    } else if (t.n !== undefined) {
      this.#nodeEvent(t, this.#node(t.n), tMs);
    }
    let decided = this.#decided;
    this.#parts.forEach((part) => (decided += part));
    const share = Math.floor((100 * decided) / Math.max(this.ir.nodes.length, 1));
    this.#progress = Math.max(this.#progress, Math.min(share, 99));
    return [...this.#changed];
  }

  #run(t: Transition, tMs: number): void {
    if (t.e === "run.started") {
      this.status = "RUNNING";
      this.startedAt = tMs;
      if (t.st === undefined) {
        this.ir.analysis.roots.forEach((root) => this.#ready(root, tMs));
      } else {
        this.#begun(t.st, tMs);
      }
    } else if (t.e === "run.finishing") {
      this.status = "FINISHING";
    } else if (t.e === "run.redriven") {
      this.#redriven(t.rd, tMs);
      const { bs = this.businessStatus } = t.rd ?? {};
      this.businessStatus = bs;
    } else if (t.e === "run.paused" || t.e === "run.resumed") {
      this.status = t.ps === "" ? "RUNNING" : "PAUSED";
    } else if (t.e !== "run.suspect" && t.e !== "run.hibernated") {
      this.#end(t, tMs);
    }
  }

  /** In the middle of its workflow: some nodes are ready, others count as completed. */
  #begun(fields: NonNullable<Transition["st"]>, tMs: number): void {
    const records = Object.entries(fields).flatMap(([field, text]) => {
      const record = field.startsWith("n") ? parseRecord(text) : null;
      return record === null ? [] : [{ node: this.#node(Number(field.slice(1))), record }];
    });
    for (const { node, record } of records) {
      if (record.state === "c") {
        this.#set(node, { status: "completed", output: JSON.parse(record.rest) as Json });
      }
    }
    const open = records.filter(({ record }) => record.state === "a" || record.state === "x");
    open.forEach(({ node }) => this.#ready(node, tMs));
    const losers = open.flatMap(({ node }) => node.join.losers ?? []);
    this.#cancel(new Set(losers), tMs);
  }

  /** The run goes on: what is undone is as if it had not been reached, or ready again. */
  #redriven({ nv, rv = {} }: Pick<Redriven, "nv" | "rv"> = { nv: {} }, tMs: number): void {
    Object.assign(this, { status: "RUNNING", error: null, output: null, endedAt: null });
    this.#progress = 0;
    for (const [index, status] of Object.entries(nv)) {
      const node = this.#node(Number(index));
      const { activations } = this.#view(node);
      this.#unhandled.delete(Number(index));
      if (DECIDED.has(status)) {
        if (status === "cancelled") {
          forget(this.#view(node));
        }
        this.#set(node, { status });
      } else if (status === "pending") {
        this.#set(node, { status: "ready", activations: 0, attempts: 0, started_at: null });
        this.#set(node, { status, ended_at: null });
      } else {
        const begun = { activations: Math.max(1, activations), attempts: 1, started_at: tMs };
        this.#set(node, { status: "ready", ...begun, ended_at: null });
        this.#set(node, { status });
      }
    }
    for (const [index, result] of Object.entries(rv)) {
      this.#restore(this.#node(Number(index)), result);
    }
  }

  #end(t: Transition, tMs: number): void {
    this.status =
      t.e === "run.completed" ? "COMPLETED" : t.e === "run.failed" ? "FAILED" : "CANCELLED";
    this.endedAt = tMs;
    this.error = t.err?.error ?? (t.e === "run.failed" ? this.#failedNodes() : null);
    this.output =
      t.e === "run.completed" ? (t.o === undefined ? this.#terminalOutput() : t.o) : null;
    for (const node of this.ir.nodes) {
      const view = this.#view(node);
      if (view.activations > 0 && !DECIDED.has(view.status)) {
        this.#set(node, { status: "cancelled", ended_at: tMs });
      }
    }
  }

  #map(t: Transition, node: IrNode): void {
    const { elements = { total: 0, done: 0, failed: 0 } } = this.#view(node);
    if (t.e === "map.expanded") {
      if ((t.from ?? 0) === 0) {
        this.#set(node, { elements: { total: t.c ?? 0, done: 0, failed: 0 } });
      }
    } else if (t.e === "map.started") {
      this.#set(node, { status: "running" });
    } else if (t.e === "map.element") {
      const failed = elements.failed + (t.v === "failed" ? 1 : 0);
      const next = { ...elements, done: elements.done + 1, failed };
      if (!DECIDED.has(this.#view(node).status)) {
        this.#parts.set(node.id, Math.min(1, next.done / Math.max(next.total, 1)));
      }
      const isStep = percent(next) > percent(elements) || failed > elements.failed;
      if (isStep) {
        this.#set(node, { elements: next });
      } else {
        this.#view(node).elements = next; // of a large map people are told every hundredth
      }
    }
  }

  #nodeEvent(t: Transition, node: IrNode, tMs: number): void {
    const ended = { ended_at: tMs, attempts: t.a ?? this.#view(node).attempts };
    switch (t.e) {
      case "node.completed":
        this.#set(node, {
          ...{ status: "completed", ...ended, output: t.o ?? null },
          ...(t.errs === undefined ? {} : { errors: t.errs }),
        });
        this.#follow(node, t.x ?? "", tMs);
        break;
      case "node.failed":
        this.#set(node, { status: "failed", ...ended, ...errorOf(t) });
        if (!(t.x ?? "").includes("L")) {
          this.#unhandled.set(t.n as number, t.err?.error ?? null);
        }
        this.#follow(node, t.x ?? "", tMs);
        break;
      case "node.retrying":
        this.#set(node, { status: "retrying", attempts: t.a ?? 1, ...errorOf(t) });
        break;
      case "node.parked":
        this.#set(node, {
          status: "waiting",
          wait: {
            for: typeof t.w === "object" ? t.w : null,
            untilMs: t.due ?? null,
            ...(t.rate === undefined ? {} : { rate: t.rate }),
            ...(t.circuit === undefined ? {} : { circuit: t.circuit }),
          },
        });
        break;
      case "node.activated":
      case "node.resumed":
        this.#set(node, { status: "ready", attempts: t.a ?? 1 });
        break;
      case "node.skipped":
        this.#skip(node, tMs);
        break;
      case "node.cancelled":
        this.#cancel(t.a === undefined ? this.#bodyOf(node) : [t.n as number], tMs);
        break;
      case "join.decided":
        this.#joined(t, node, tMs);
        break;
      case "loop.round":
        this.#ready(t.n as number, tMs);
        if ((t.due ?? 0) > tMs) {
          this.#set(node, { status: "waiting" });
        }
        break;
      default:
        break;
    }
  }

  /** A join that cancels its losers ends its branches, also where no token has come to. */
  #joined(t: Transition, node: IrNode, tMs: number): void {
    if (t.v === "fired") {
      this.#ready(node, tMs);
      this.#cancel(node.join.losers ?? [], tMs);
    } else if (t.v !== "cancelled") {
      this.#skip(node, tMs);
    }
  }

  #cancel(nodes: Iterable<number>, tMs: number): void {
    for (const index of nodes) {
      const node = this.#node(index);
      if (!DECIDED.has(this.#view(node).status)) {
        this.#set(node, { status: "cancelled", ended_at: tMs });
      }
    }
  }

  #bodyOf(latch: IrNode): readonly number[] {
    return this.ir.loops[latch.latch_of ?? -1]?.body ?? [];
  }

  #follow(node: IrNode, edges: string, tMs: number): void {
    node.out.forEach((edge, place) => {
      const target = this.#node(this.ir.edges[edge]?.to ?? -1);
      if (target.join.arity > 1 || edges === "") {
        return;
      }
      if (edges[place] === "L") {
        this.#ready(target, tMs);
      } else {
        this.#skip(target, tMs);
      }
    });
  }

  /** Skips a node and what dies with it, up to the next joins. */
  #skip(start: IrNode, tMs: number): void {
    const stack = [start];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      const outer = node.head_of[0];
      const loop = outer === undefined ? undefined : this.ir.loops[outer];
      const dead = loop === undefined ? [node] : loop.body.map((n) => this.#node(n));
      dead.forEach((n) => this.#set(n, { status: "skipped", ended_at: tMs }));
      const last = loop === undefined ? node : this.#node(loop.latch);
      for (const edge of last.out) {
        const target = this.#node(this.ir.edges[edge]?.to ?? -1);
        if (target.join.arity <= 1) {
          stack.push(target);
        }
      }
    }
  }

  #ready(at: number | IrNode, tMs: number): void {
    const node = typeof at === "number" ? this.#node(at) : at;
    const view = this.#view(node);
    this.#set(node, {
      status: "ready",
      activations: view.activations + 1,
      attempts: 1,
      started_at: tMs,
      ended_at: null,
    });
  }

  #set(node: IrNode, change: Partial<NodeView>): void {
    const view = this.#view(node);
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
      this.current_step = node.id;
    }
  }

  #restore(node: IrNode, result: NodeResult): void {
    const view = this.#view(node);
    forget(view);
    Object.assign(view, result);
    this.#changed.add(node.id);
  }

  #node(index: number): IrNode {
    const node = this.ir.nodes[index];
    if (node === undefined) {
      throw new Error(`workflow ${this.ir.name} has no node ${index}`);
    }
    return node;
  }

  #view(node: IrNode): NodeView {
    return this.nodes[node.id] as NodeView;
  }

  #failedNodes(): RunError {
    const failed = [...this.#unhandled].sort(([a], [b]) => a - b);
    return failedNodesError(failed.map(([n, error]) => ({ id: this.#node(n).id, error })));
  }

  #terminalOutput(): Json {
    const ended = this.ir.analysis.leaves
      .map((leaf) => this.#node(leaf))
      .filter((node) => this.#view(node).status === "completed");
    return runOutput(ended.map((node) => [node.id, this.#view(node).output ?? null]));
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

function errorOf(t: Transition): { error?: RunError } {
  return t.err === undefined ? {} : { error: t.err.error };
}

/** Output of a run without a template, from its completed terminal nodes (25 §Run output). */
export function runOutput(completed: readonly (readonly [string, Json])[]): Json {
  if (completed.length <= 1) {
    return completed[0]?.[1] ?? null;
  }
  return Object.fromEntries(completed);
}

/** Error of a run that failed under `failure: continue`. */
export function failedNodesError(
  failed: readonly { id: string; error: RunError | null }[],
): RunError {
  const ids = failed.map((node) => node.id);
  return {
    code: failed[0]?.error?.code ?? "HANDLER_ERROR",
    message: `${ids.length} node(s) failed: ${ids.join(", ")}`,
    ...(ids[0] === undefined ? {} : { node: ids[0] }),
    details: {
      nodes: failed.map(({ id, error }) => ({ id, error: error && withoutOutput(error) })),
    },
  };
}
