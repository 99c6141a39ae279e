/**
 * Where simulated runs take place: virtual time, workers per queue, limits.
 *
 * The rules are those of the engine. A step that does work of its own stands in its queue until a
 * worker is free, steps of runs on their way before first ones (worker/reader.ts); a worker that
 * begins it asks the limits first, and a start that lies ahead parks the token without holding the
 * worker (scripts/take_slot.lua: starts of one key are an interval apart). Pure steps are evaluated
 * on the way, delays and waits hold nobody, and a straight chain goes on with the worker that it has
 * (worker/chain.ts). A worker that began something finishes it, also if nobody wants it any more.
 */
import { compileTemplate } from "../../condition/index.ts";
import type { IrNode } from "../../compiler/index.ts";
import type { Appointment, HandlerResult, Stage, Work } from "../../compiler/reference/index.ts";
import { CHAIN_MS_MAX, CHAIN_NODES_MAX } from "../../worker/index.ts";
import { EventHeap } from "./event-heap.ts";
import { isQueued } from "./handlers.ts";
import type { Limits } from "./limits.ts";
import { RateSlots } from "./rate-slots.ts";
import { WorkerPool } from "./worker-pool.ts";

/** One execution of a step. Virtual ms on the stage's clock. */
export interface TimedStep {
  run: string;
  node: string;
  home: string;
  scope: string;
  attempt: number;
  /** Where it stood for a worker; null if it needs none. */
  queue: string | null;
  /** When it was ready, after its back-off. */
  ready: number;
  from: number;
  to: number;
}

export interface StageOptions {
  /** Virtual ms that an execution takes. */
  durationOf(work: Work): number;
  /** Names of the queues of a node's graph are in its IR: the name of this node's. */
  queueOf(node: IrNode): string;
  /** Whether it stands behind others of its queue; `isFirst`: it has never been with a worker. */
  isBehind(node: IrNode, isFirst: boolean): boolean;
  /**
   * Workers that serve one queue only, by its name. Those of `default` serve all other queues; they
   * are as many as there is work if it is left out.
   */
  workers?: ReadonlyMap<string, number>;
  limits?: Limits;
  /** Told of each execution that is over. */
  ended(step: TimedStep, work: Work): void;
}

/** The chain of straight steps that a worker is in. */
interface Chain {
  run: string;
  place: string;
  chain: number;
  began: number;
  length: number;
}

interface Waiting {
  work: Work;
  ready: number;
  /** When it came into the queue; later than `ready` if a limit has put it off. */
  queued: number;
  /** It has the starts that its limits ask for. */
  hasSlot: boolean;
}

export class SimulatedStage implements Stage {
  readonly #heap = new EventHeap();
  readonly #options: StageOptions;
  readonly #pools = new Map<string, WorkerPool<Waiting>>();
  readonly #slots: RateSlots;
  readonly #inProgress = new Map<string, number>();
  /** What the worker has just ended whose end is being told. */
  #current: Chain | undefined;

  constructor(options: StageOptions) {
    this.#options = options;
    this.#slots = new RateSlots(() => this.now);
  }

  get now(): number {
    return this.#heap.now;
  }

  /** Workers that were used, by the queue that they serve; `default` are those of all others. */
  get pools(): ReadonlyMap<string, WorkerPool<unknown>> {
    return this.#pools;
  }

  get slots(): RateSlots {
    return this.#slots;
  }

  enter(appointment: Appointment): void {
    this.#heap.enter(appointment);
  }

  /** Let time go on to what is next; false if nothing is ahead. */
  advance(): boolean {
    return this.#heap.advance();
  }

  perform(work: Work): void {
    const restMs = work.token.restMs ?? 0;
    if (!isQueued(work.node)) return this.#without(work, restMs);
    const chain = this.#chainOf(work);
    // A chain's next step is the same worker's; it asks for nothing that the first had to ask for.
    if (chain !== undefined && restMs === 0) return this.#take(work, this.now, this.now, chain);
    if (restMs === 0)
      return this.#queue({ work, ready: this.now, queued: this.now, hasSlot: false });
    this.#heap.enter({
      ...{ at: this.now + restMs, isLimit: false, isDue: () => work.isWanted() },
      happen: () => this.#queue({ work, ready: this.now, queued: this.now, hasSlot: false }),
    });
  }

  /** A step that needs no worker. */
  #without(work: Work, restMs: number): void {
    const ready = this.now + restMs;
    const ms = restMs + this.#options.durationOf(work);
    this.#heap.enter({
      ...{ at: this.now + ms, isLimit: false, isDue: () => work.isWanted() },
      happen: () => {
        this.#options.ended(this.#step(work, null, ready, ready), work);
        work.end();
      },
    });
  }

  #queue(waiting: Waiting): void {
    const { work } = waiting;
    const { pool, queue } = this.#poolOf(work.node);
    const isFirst = work.token.attempt === 1 && !waiting.hasSlot;
    pool.add(waiting, this.now, this.#options.isBehind(work.node, isFirst));
    const { queue_timeout_ms: limit } = work.node;
    if (limit !== undefined) {
      this.#heap.enter({
        ...{ at: waiting.queued + limit, isLimit: true },
        isDue: () => pool.has(waiting) && work.isWanted(),
        happen: () => {
          pool.remove(waiting, this.now);
          const message = `no worker has begun it within its queue_timeout_ms (${limit})`;
          this.#over(work, queue, waiting.ready, this.now, timeout(message));
        },
      });
    }
    this.#serve(pool);
  }

  /** Free workers take what waits, in its order, as far as the limits let them. */
  #serve(pool: WorkerPool<Waiting>): void {
    while (pool.free > 0) {
      const next = pool.take(this.now, (waiting) => this.#mayBegin(waiting));
      if (next === undefined) return;
      if (!next.work.isWanted()) continue;
      const ahead = next.hasSlot ? 0 : this.#reserve(next.work);
      if (ahead > 0) {
        this.#heap.after(ahead, () => this.#queue({ ...next, queued: this.now, hasSlot: true }));
        continue;
      }
      this.#take(next.work, next.ready, next.queued, undefined);
    }
  }

  /** What is not wanted is taken all the same: it is thrown away, and holds nobody up. */
  #mayBegin({ work }: Waiting): boolean {
    const most = this.#options.limits?.atOnce.get(work.node.id);
    if (most === undefined || !work.isWanted()) return true;
    return (this.#inProgress.get(work.node.id) ?? 0) < most;
  }

  /** Ms until the step may start; its start is reserved. */
  #reserve(work: Work): number {
    const { node } = work;
    const queue = this.#options.queueOf(node);
    const own = this.#options.limits?.rates.get(node.id);
    const limit = own ?? node.rate_limit;
    const ofQueue = this.#options.limits?.queueRates.get(queue);
    let ahead = 0;
    if (limit !== undefined) {
      // A limit of the simulation is for the node itself, whatever key the workflow's has.
      const key = own === undefined ? (node.rate_limit?.key ?? "") : "";
      ahead = this.#slots.reserve(key === "" ? node.id : `key ${keyText(key, work)}`, limit);
    }
    if (ofQueue !== undefined) {
      ahead = Math.max(ahead, this.#slots.reserve(`queue:${queue}`, ofQueue));
    }
    return ahead;
  }

  /** A worker begins. */
  #take(work: Work, ready: number, queued: number, chain: Chain | undefined): void {
    const { node, run } = work;
    const { pool, queue } = this.#poolOf(node);
    const from = this.now;
    pool.begin(from, from - queued, chain !== undefined);
    this.#inProgress.set(node.id, (this.#inProgress.get(node.id) ?? 0) + 1);
    const ms = this.#options.durationOf(work);
    const limit = node.timeout_ms;
    const isLate = limit !== null && ms > limit;
    this.#heap.after(isLate ? limit : ms, () => {
      this.#inProgress.set(node.id, (this.#inProgress.get(node.id) ?? 1) - 1);
      const before = chain ?? { began: from, length: 0 };
      this.#current =
        node.chain === undefined
          ? undefined
          : { run, place: placeOf(work), chain: node.chain, ...before, length: before.length + 1 };
      pool.end(this.now);
      const message = `it has worked longer than its timeout_ms (${limit})`;
      this.#over(work, queue, ready, from, isLate ? timeout(message) : undefined);
      this.#current = undefined;
      // Also the others: a limit of a node may hold up what stands in several queues.
      for (const other of this.#pools.values()) this.#serve(other);
    });
  }

  #over(
    work: Work,
    queue: string,
    ready: number,
    from: number,
    instead: HandlerResult | undefined,
  ): void {
    this.#options.ended(this.#step(work, queue, ready, from), work);
    work.end(instead);
  }

  /** The chain that goes on with this step, if the worker that has just ended may go on. */
  #chainOf({ node, run, ...work }: Work): Chain | undefined {
    const chain = this.#current;
    if (chain === undefined || chain.chain !== node.chain || chain.run !== run) return undefined;
    if (chain.place !== placeOf(work)) return undefined;
    if (this.#isLimited(node)) return undefined;
    const isLong = this.now - chain.began >= CHAIN_MS_MAX || chain.length >= CHAIN_NODES_MAX;
    if (isLong || this.#poolOf(node).pool.free === 0) return undefined;
    return chain;
  }

  /** Limits that the workflow does not know, and so has not kept out of its chains. */
  #isLimited(node: IrNode): boolean {
    const { atOnce, rates, queueRates } = this.#options.limits ?? {};
    const isNamed = atOnce?.has(node.id) === true || rates?.has(node.id) === true;
    return isNamed || queueRates?.has(this.#options.queueOf(node)) === true;
  }

  #step({ run, token }: Work, queue: string | null, ready: number, from: number): TimedStep {
    const { node, home, scope, attempt } = token;
    return { run, node, home, scope, attempt, queue, ready, from, to: this.now };
  }

  #poolOf(node: IrNode): { pool: WorkerPool<Waiting>; queue: string } {
    const { workers } = this.#options;
    const queue = this.#options.queueOf(node);
    const name = workers?.has(queue) === true ? queue : OTHERS;
    let pool = this.#pools.get(name);
    if (pool === undefined) {
      pool = new WorkerPool<Waiting>(workers?.get(name) ?? Number.POSITIVE_INFINITY);
      this.#pools.set(name, pool);
    }
    return { pool, queue };
  }
}

/** The workers of all queues that have none of their own. */
const OTHERS = "default";

function placeOf({ token }: Pick<Work, "token">): string {
  return `${token.home} ${token.scope}`;
}

function timeout(message: string): HandlerResult {
  return { error: { code: "TIMEOUT", message } };
}

/** As the worker makes it: what the template gives, as text. */
function keyText(key: string, work: Work): string {
  const value = compileTemplate(key).evaluate(work.context().vars);
  return typeof value === "string" ? value : JSON.stringify(value);
}
