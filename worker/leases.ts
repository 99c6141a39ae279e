/**
 * The entries that this worker holds, and the proof to the others that it is still at work.
 *
 * Renewal names ids explicitly and touches only what this consumer still owns (20 §7): what another
 * worker has taken over is held no more: its handler is told to stop, its answer is thrown away.
 */
import { LazyAbort } from "./lazy-abort.ts";
import type { LeaseTable } from "./lease-table.ts";
import { renewLeases, type ReadyToken, type ScriptRunner } from "../sdk/internal.ts";

export interface Held {
  token: ReadyToken;
  /** Monotonic ms when it was read or last renewed. */
  renewedMs: number;
  abort: LazyAbort;
  /** When the entry came into this worker's hands, and how many nodes of its chain it has run. */
  sinceMs: number;
  nodes: number;
  /** The node that is being executed, or was last; null: none yet. */
  executes: string | null;
  /** Its place in the table that the lease thread reads; -1: none. */
  slot: number;
  /** Its place among what is held; -1: it is held no more. */
  at: number;
  /** Takeovers in the partition known when the entry came here, or was found to be ours still. */
  takeovers: number | undefined;
  /** For how long nobody had touched the entry when it was taken over; 0: it was read. */
  idleMs: number;
  /** It was delivered before, to a worker that may have died of the token that it stands for. */
  isRedelivered: boolean;
  /** How often the token has been delivered: of all but the last its worker may have died. */
  deliveries: number;
  /** Whoever waits until it is held no more. */
  onGone: (() => void) | null;
}

export class Leases {
  readonly #scripts: ScriptRunner;
  readonly #consumer: string;
  readonly #leaseMs: number;
  readonly #nowMs: () => number;
  readonly #table: LeaseTable | null;
  /**
   * Each at its place. Not a set: one that changes at this rate leaves a table behind now and then,
   * and the old tables, each naming the next, keep what they held until the whole heap is collected.
   */
  readonly #held: Held[] = [];
  /** Until nothing is held. */
  #emptying: Promise<void> | null = null;
  #emptied: () => void = () => undefined;

  constructor(options: {
    scripts: ScriptRunner;
    consumer: string;
    leaseMs: number;
    /** Monotonic clock, ms. */
    nowMs: () => number;
    /** Shared with the thread that renews while the event loop is blocked. */
    table?: LeaseTable | null;
  }) {
    this.#scripts = options.scripts;
    this.#consumer = options.consumer;
    this.#leaseMs = options.leaseMs;
    this.#nowMs = options.nowMs;
    this.#table = options.table ?? null;
  }

  get size(): number {
    return this.#held.length;
  }

  hold(token: ReadyToken, takeovers?: number, idleMs = 0): Held {
    const now = this.#nowMs();
    const abort = new LazyAbort();
    const slot = this.#table?.add(token.queueKey, token.entryId) ?? -1;
    const since = { renewedMs: now, sinceMs: now, nodes: 0, executes: null };
    const held: Held = {
      token,
      abort,
      ...since,
      slot,
      at: this.#held.length,
      takeovers,
      idleMs,
      isRedelivered: false,
      deliveries: 1,
      onGone: null,
    };
    this.#held.push(held);
    return held;
  }

  /** The node begins: should it block the event loop, its lease ends with its time limit. */
  begin(held: Held, timeoutMs: number | null): void {
    const untilMs = timeoutMs === null ? Infinity : this.#nowMs() + timeoutMs + this.#leaseMs;
    this.#table?.limit(held.slot, untilMs);
  }

  has(held: Held): boolean {
    return held.at >= 0 && this.#held[held.at] === held;
  }

  drop(held: Held): void {
    if (this.has(held)) {
      const last = this.#held.pop() as Held;
      if (last !== held) {
        this.#held[held.at] = last;
        last.at = held.at;
      }
      held.at = -1;
      this.#table?.remove(held.slot);
      held.onGone?.();
    }
    if (this.#held.length === 0) {
      this.#emptied();
      this.#emptying = null;
    }
  }

  /**
   * Gives up everything, and returns it: the server may have lost what it rests on. A result, also
   * one that is refused, would take the entry of an earlier token of the chain with it, which may be
   * active again. What is still pending is executed again.
   */
  forsake(): Held[] {
    const all = this.all();
    all.forEach((held) => {
      this.drop(held);
      held.abort.abort(new Error("Redis may have lost what this token rests on"));
    });
    return all;
  }

  /** Resolves when nothing is held. */
  whenEmpty(): Promise<void> {
    if (this.#held.length === 0) {
      return Promise.resolve();
    }
    return (this.#emptying ??= new Promise((resolve) => (this.#emptied = resolve)));
  }

  /** Resolves when none of these is held. */
  async whenGone(all: readonly Held[]): Promise<void> {
    const left = all.filter((held) => this.has(held));
    await Promise.all(left.map((held) => new Promise<void>((resolve) => (held.onGone = resolve))));
  }

  all(): Held[] {
    return [...this.#held];
  }

  /** Renews what was not renewed for a third of the lease; aborts what is no longer ours. */
  async renew(): Promise<void> {
    const now = this.#nowMs();
    this.#table?.beat(now);
    const due = this.all().filter((held) => now - held.renewedMs > this.#leaseMs / 3);
    const byQueue = new Map<string, Held[]>();
    for (const held of due) {
      const entries = byQueue.get(held.token.queueKey);
      if (entries === undefined) {
        byQueue.set(held.token.queueKey, [held]);
      } else {
        entries.push(held);
      }
    }
    for (const [queueKey, entries] of byQueue) {
      const ids = entries.map((held) => held.token.entryId);
      const lost = new Set(await renewLeases(this.#scripts, queueKey, this.#consumer, ids));
      for (const held of entries) {
        held.renewedMs = now;
        if (lost.has(held.token.entryId)) {
          this.drop(held); // First: what its handler answers now is not its node's result.
          held.abort.abort(new Error("another worker has taken this token over"));
        }
      }
    }
  }
}
