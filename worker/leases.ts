/**
 * The entries that this worker holds, and the proof to the others that it is still at work.
 *
 * Renewal names ids explicitly and touches only what this consumer still owns (20 §7): what another
 * worker has taken over is reported, its handler is told to stop, its result would be refused.
 */
import { LazyAbort } from "./lazy-abort.ts";
import { renewLeases, type ReadyToken, type ScriptRunner } from "../sdk/internal.ts";

export interface Held {
  token: ReadyToken;
  /** Monotonic ms when it was read or last renewed. */
  renewedMs: number;
  abort: LazyAbort;
  /** When the entry came into this worker's hands, and how many nodes of its chain it has run. */
  sinceMs: number;
  nodes: number;
}

export class Leases {
  readonly #scripts: ScriptRunner;
  readonly #consumer: string;
  readonly #leaseMs: number;
  readonly #nowMs: () => number;
  readonly #held = new Map<string, Held>();
  #emptied: (() => void)[] = [];

  constructor(options: {
    scripts: ScriptRunner;
    consumer: string;
    leaseMs: number;
    /** Monotonic clock, ms. */
    nowMs: () => number;
  }) {
    this.#scripts = options.scripts;
    this.#consumer = options.consumer;
    this.#leaseMs = options.leaseMs;
    this.#nowMs = options.nowMs;
  }

  get size(): number {
    return this.#held.size;
  }

  hold(token: ReadyToken): Held {
    const now = this.#nowMs();
    const held: Held = { token, renewedMs: now, abort: new LazyAbort(), sinceMs: now, nodes: 0 };
    this.#held.set(key(token), held);
    return held;
  }

  has(token: ReadyToken): boolean {
    return this.#held.has(key(token));
  }

  drop(token: ReadyToken): void {
    this.#held.delete(key(token));
    if (this.#held.size === 0) {
      this.#emptied.splice(0).forEach((tell) => tell());
    }
  }

  /** Resolves when nothing is held. */
  whenEmpty(): Promise<void> {
    return this.#held.size === 0
      ? Promise.resolve()
      : new Promise((resolve) => this.#emptied.push(resolve));
  }

  all(): Held[] {
    return [...this.#held.values()];
  }

  /** Renews what was not renewed for a third of the lease; aborts what is no longer ours. */
  async renew(): Promise<void> {
    const now = this.#nowMs();
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
          held.abort.abort(new Error("another worker has taken this token over"));
        }
      }
    }
  }
}

function key(token: ReadyToken): string {
  return `${token.queueKey} ${token.entryId}`;
}
