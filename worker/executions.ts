/**
 * The tokens that a lane is executing: from the begin of a token's work to the item that settles it.
 *
 * Most handlers answer at once: their item is made on return, without a promise or a timer. Whatever
 * throws on the way is a failure of the token's node, and never of the lane.
 */
import type { Json } from "../compiler/ir.ts";
import { type CompletionItem, varsOf } from "../sdk/internal.ts";
import { beginChild, beginLimited, beginMap, isLimited, type Beginning } from "./beginnings.ts";
import { DeadLog } from "./dead-log.ts";
import { Deadlines } from "./deadlines.ts";
import type { Begun } from "./execute.ts";
import { ExecutionError, toExecutionError } from "./kinds/kind.ts";
import type { LaneOptions, Settle, Task } from "./lane-options.ts";
import type { Held } from "./leases.ts";
import type { Preparation } from "./prepare.ts";
import type { Prepared } from "./prepared.ts";
import { coolAfter } from "./rate-limit.ts";
import { runKind, type Outcome } from "./run-kind.ts";
import { ThrownLog } from "./thrown-log.ts";

/** What the lane does with what comes of them. */
export interface ExecutionsLane {
  settle(p: Prepared, held: Held, item: CompletionItem): void;
  giveBack(held: Held, error: unknown): void;
  putOff(held: Held, ms: number): void;
  /** One has ended by itself: there is room for the next. */
  goOn(): void;
}

export class Executions {
  readonly #o: LaneOptions;
  readonly #lane: ExecutionsLane;
  readonly #deadlines: Deadlines;
  readonly #thrown: ThrownLog;
  readonly #dead: DeadLog;

  constructor(options: LaneOptions, lane: ExecutionsLane) {
    this.#o = options;
    this.#lane = lane;
    this.#thrown = new ThrownLog(options.logger, options.nowMs);
    this.#dead = new DeadLog(options.logger, options.nowMs);
    this.#deadlines = new Deadlines({
      redis: options.redis,
      keys: options.scripts.keys,
      logger: options.logger,
      graceMs: options.leaseMs,
      redisNowMs: () => options.preparer.news.nowMs(),
    });
  }

  /** Begins a token's work; one whose handler answers at once is settled on return. */
  begin(p: Prepared, held: Held): void {
    const { executor, nowMs, preparer } = this.#o;
    this.#o.slots.take();
    const startedMs = nowMs();
    const task: Task = {
      p,
      held,
      startedMs,
      vars: {},
      watched: null,
      pass: null,
      isBegun: false,
      isOver: false,
    };
    try {
      if (!isLimited(p)) {
        this.#begun(task);
      }
      const begun = executor.begin(p, preparer.news.nowMs());
      task.vars = begun.vars;
      if (begun.settled !== null) {
        this.#end(task, begun.settled);
      } else if (p.node.type === "map") {
        beginMap(this.#o, this.#beginning(task, begun));
      } else if (p.node.type === "subworkflow") {
        beginChild(this.#o, this.#beginning(task, begun));
      } else if (isLimited(p)) {
        beginLimited(this.#o, this.#beginning(task, begun), (pass) => {
          task.pass = pass;
          this.#work(task, begun.input);
        });
      } else {
        this.#work(task, begun.input);
      }
    } catch (error) {
      const failure = toExecutionError(error);
      this.#end(
        task,
        this.#made(p, () => executor.fail(p, task.vars, failure, 0)),
      );
    }
  }

  /** A token that is void by now: whoever had it before may have died in its execution. */
  leave({ token, profile, passed }: Extract<Preparation, { kind: "drop" }>): void {
    this.#deadlines.leave(token, profile, passed);
  }

  /** The item of a token that fails without being executed. */
  failed(p: Prepared, error: ExecutionError): CompletionItem {
    this.#deadlines.begun(p);
    return this.#made(p, () => this.#o.executor.fail(p, readableVars(p), error, 0));
  }

  #beginning(task: Task, begun: Begun): Beginning {
    const { p, held } = task;
    const settle: Settle = (make) => {
      this.#end(task, make === null ? null : this.#made(p, make));
      this.#lane.goOn();
    };
    const putOff = (ms: number): void => {
      this.#deadlines.putOff(p);
      this.#lane.putOff(held, ms);
      settle(null);
    };
    const giveBack = (error: unknown): void => this.#lane.giveBack(held, error);
    return { p, held, begun, settle, giveBack, putOff };
  }

  #work(task: Task, input: Json): void {
    const { p, held } = task;
    this.#begun(task);
    held.executes = p.node.id;
    this.#o.leases.begin(held, p.node.timeout_ms);
    const now = runKind(this.#o, p, task.vars, input, held.abort, (later) => {
      this.#answered(task, later);
      this.#lane.goOn();
    });
    if (now === null) {
      task.watched = this.#deadlines.watch(p);
    } else {
      this.#answered(task, now);
    }
  }

  /** Its time in the queue is over. A limited one may be given back until it works or is parked. */
  #begun(task: Task): void {
    if (!task.isBegun) {
      task.isBegun = true;
      if (task.held.nodes === 0) {
        this.#deadlines.begun(task.p);
      }
    }
  }

  #answered(task: Task, outcome: Outcome): void {
    const { pass, held, isOver } = task;
    // Else it is somebody else's by now: how it has ended here is no end of it.
    const isOwn = !isOver && this.#o.leases.has(held);
    if (pass !== null && isOwn) {
      void this.#o.circuits.ended(pass, outcome);
    } else if (pass !== null) {
      this.#o.circuits.forget(pass);
    }
    const tookMs = this.#o.nowMs() - task.startedMs;
    const item = this.#itemOf(task, outcome, Math.round(tookMs));
    if (isOwn) {
      this.#o.counts.step(task.p.node.type, tookMs, item);
    }
    this.#end(task, item);
  }

  /** The item of an execution's outcome; that it cannot be made is a failure of its node. */
  #itemOf({ p, vars }: Task, outcome: Outcome, ms: number): CompletionItem {
    const { executor } = this.#o;
    try {
      if ("output" in outcome) {
        return this.#dead.told(p, executor.succeed(p, vars, outcome.output, ms));
      }
      this.#thrown.tell(p, outcome.error);
      coolAfter(this.#o, p, vars, outcome.error);
      return this.#dead.told(p, executor.fail(p, vars, outcome.error, ms));
    } catch (error) {
      return this.#notMade(p, error);
    }
  }

  /** The token is executed no more; null: it is settled elsewhere. */
  #end(task: Task, item: CompletionItem | null): void {
    if (task.isOver) {
      return;
    }
    task.isOver = true;
    this.#o.slots.release();
    if (item !== null) {
      this.#begun(task);
    }
    if (item !== null && this.#o.leases.has(task.held)) {
      this.#deadlines.unwatch(task.watched);
      this.#lane.settle(task.p, task.held, item);
    }
  }

  #made(p: Prepared, make: () => CompletionItem): CompletionItem {
    try {
      return this.#dead.told(p, make());
    } catch (error) {
      return this.#notMade(p, error);
    }
  }

  /** An item that cannot even be made is a failure of its node. */
  #notMade(p: Prepared, error: unknown): CompletionItem {
    this.#o.logger.error({ err: error, run: p.token.runId, node: p.node.id }, "item not made");
    const failure = new ExecutionError("HANDLER_ERROR", String(error), { retryable: false });
    return this.#dead.told(p, this.#o.executor.fail(p, {}, failure, 0));
  }
}

/** What a token's expressions may read; nothing, if that is gone: its failure is the same. */
function readableVars(p: Prepared): Begun["vars"] {
  try {
    return varsOf(p, p.token.node, p.node, null);
  } catch {
    return {};
  }
}
