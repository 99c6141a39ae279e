/**
 * Folding a run's journal into what people ask for: the state of every node, the run's status and
 * progress. The feed, the CLI and the recovery of a run all see it through this one function. Here is
 * what each transition says; what it means for the nodes is in node-views.ts.
 */
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import { parseRecord } from "./entry.ts";
import type { Redriven, Transition } from "./journal.ts";
import { DECIDED, NodeViews, type NodeView } from "./node-views.ts";
import { failedNodesError, runOutput } from "./run-outcome.ts";
import { isTerminal, type RunError, type RunStatus } from "./status.ts";

export class RunView {
  readonly ir: Ir;
  readonly nodes: { readonly [id: string]: NodeView };
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
  /** What its nodes say of it (`sets_status`), the last of them in the journal; null: nothing. */
  businessStatus: string | null = null;
  readonly #nodes: NodeViews;
  #progress = 0;
  /** Nodes that failed without an edge that handles it, whatever became of them later. */
  readonly #unhandled = new Map<number, RunError | null>();

  constructor(ir: Ir) {
    this.ir = ir;
    this.#nodes = new NodeViews(ir);
    this.nodes = this.#nodes.byId;
  }

  /** Node that changed last and is not skipped. */
  get current_step(): string | null {
    return this.#nodes.current;
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
    this.asleep = t.e === "run.hibernated" ? { sinceMs: tMs, untilMs: t.due ?? null } : null;
    this.businessStatus = t.bs ?? this.businessStatus;
    if (t.e.startsWith("run.")) {
      this.#run(t, tMs);
    } else if (t.m !== undefined) {
      // Inside an element of a map: of that, people see how many have ended.
    } else if (t.e.startsWith("map.")) {
      this.#map(t, this.#nodes.at(t.n ?? -1));
    } else if (t.n !== undefined) {
      this.#nodeEvent(t, this.#nodes.at(t.n), tMs);
    }
    this.#progress = Math.max(this.#progress, Math.min(this.#nodes.share, 99));
    return this.#nodes.takeChanged();
  }

  #run(t: Transition, tMs: number): void {
    if (t.e === "run.started") {
      this.status = "RUNNING";
      this.startedAt = tMs;
      if (t.st === undefined) {
        this.ir.analysis.roots.forEach((root) => this.#nodes.ready(root, tMs));
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
      return record === null ? [] : [{ node: this.#nodes.at(Number(field.slice(1))), record }];
    });
    for (const { node, record } of records) {
      if (record.state === "c") {
        this.#nodes.set(node, { status: "completed", output: JSON.parse(record.rest) as Json });
      }
    }
    const open = records.filter(({ record }) => record.state === "a" || record.state === "x");
    open.forEach(({ node }) => this.#nodes.ready(node, tMs));
    const losers = open.flatMap(({ node }) => node.join.losers ?? []);
    this.#nodes.cancel(new Set(losers), tMs);
  }

  /** The run goes on: what is undone is as if it had not been reached, or ready again. */
  #redriven({ nv, rv = {} }: Pick<Redriven, "nv" | "rv"> = { nv: {} }, tMs: number): void {
    Object.assign(this, { status: "RUNNING", error: null, output: null, endedAt: null });
    this.#progress = 0;
    for (const [index, status] of Object.entries(nv)) {
      const node = this.#nodes.at(Number(index));
      const { activations } = this.#nodes.of(node);
      this.#unhandled.delete(Number(index));
      if (DECIDED.has(status)) {
        if (status === "cancelled") {
          this.#nodes.restore(node, {});
        }
        this.#nodes.set(node, { status });
      } else if (status === "pending") {
        this.#nodes.set(node, { status: "ready", activations: 0, attempts: 0, started_at: null });
        this.#nodes.set(node, { status, ended_at: null });
      } else {
        const begun = { activations: Math.max(1, activations), attempts: 1, started_at: tMs };
        this.#nodes.set(node, { status: "ready", ...begun, ended_at: null });
        this.#nodes.set(node, { status });
      }
    }
    for (const [index, result] of Object.entries(rv)) {
      this.#nodes.restore(this.#nodes.at(Number(index)), result);
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
      const view = this.#nodes.of(node);
      if (view.activations > 0 && !DECIDED.has(view.status)) {
        this.#nodes.set(node, { status: "cancelled", ended_at: tMs });
      }
    }
  }

  #map(t: Transition, node: IrNode): void {
    if (t.e === "map.expanded" && (t.from ?? 0) === 0) {
      this.#nodes.set(node, { elements: { total: t.c ?? 0, done: 0, failed: 0 } });
    } else if (t.e === "map.started") {
      this.#nodes.set(node, { status: "running" });
    } else if (t.e === "map.element") {
      this.#nodes.element(node, t.v === "failed");
    }
  }

  #nodeEvent(t: Transition, node: IrNode, tMs: number): void {
    const ended = { ended_at: tMs, attempts: t.a ?? this.#nodes.of(node).attempts };
    switch (t.e) {
      case "node.completed":
        this.#nodes.set(node, {
          ...{ status: "completed", ...ended, output: t.o ?? null },
          ...(t.errs === undefined ? {} : { errors: t.errs }),
        });
        this.#nodes.follow(node, t.x ?? "", tMs);
        break;
      case "node.failed":
        this.#nodes.set(node, { status: "failed", ...ended, ...errorOf(t) });
        if (!(t.x ?? "").includes("L")) {
          this.#unhandled.set(t.n as number, t.err?.error ?? null);
        }
        this.#nodes.follow(node, t.x ?? "", tMs);
        break;
      case "node.retrying":
        this.#nodes.set(node, { status: "retrying", attempts: t.a ?? 1, ...errorOf(t) });
        break;
      case "node.parked":
        this.#nodes.set(node, {
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
        this.#nodes.set(node, { status: "ready", attempts: t.a ?? 1 });
        break;
      case "node.skipped":
        this.#nodes.skip(node, tMs);
        break;
      case "node.cancelled":
        this.#nodes.cancel(t.a === undefined ? this.#bodyOf(node) : [t.n as number], tMs);
        break;
      case "join.decided":
        this.#joined(t, node, tMs);
        break;
      case "loop.round":
        this.#nodes.ready(t.n as number, tMs);
        if ((t.due ?? 0) > tMs) {
          this.#nodes.set(node, { status: "waiting" });
        }
        break;
      default:
        break;
    }
  }

  /** A join that cancels its losers ends its branches, also where no token has come to. */
  #joined(t: Transition, node: IrNode, tMs: number): void {
    if (t.v === "fired") {
      this.#nodes.ready(node, tMs);
      this.#nodes.cancel(node.join.losers ?? [], tMs);
    } else if (t.v !== "cancelled") {
      this.#nodes.skip(node, tMs);
    }
  }

  #bodyOf(latch: IrNode): readonly number[] {
    return this.ir.loops[latch.latch_of ?? -1]?.body ?? [];
  }

  #failedNodes(): RunError {
    const failed = [...this.#unhandled].sort(([a], [b]) => a - b);
    return failedNodesError(failed.map(([n, error]) => ({ id: this.#nodes.at(n).id, error })));
  }

  #terminalOutput(): Json {
    const ended = this.ir.analysis.leaves
      .map((leaf) => this.#nodes.at(leaf))
      .filter((node) => this.#nodes.of(node).status === "completed");
    return runOutput(ended.map((node) => [node.id, this.#nodes.of(node).output ?? null]));
  }
}

function errorOf(t: Transition): { error?: RunError } {
  return t.err === undefined ? {} : { error: t.err.error };
}
