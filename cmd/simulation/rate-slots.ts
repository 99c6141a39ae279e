/** Starts under rate limits: those of one key are an interval apart, whoever comes gets the next. */
import type { Rate } from "./limits.ts";

export interface SlotUse {
  starts: number;
  /** How long starts were put off, in all. */
  waitMs: number;
}

export class RateSlots {
  readonly #now: () => number;
  readonly #next = new Map<string, number>();
  readonly #used = new Map<string, SlotUse>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** What each key has cost so far. */
  get used(): ReadonlyMap<string, SlotUse> {
    return this.#used;
  }

  /** Milliseconds until the next free start of the key, which is the caller's from now on. */
  reserve(key: string, { limit, per_ms: perMs }: Rate): number {
    const now = this.#now();
    const start = Math.max(this.#next.get(key) ?? 0, now);
    this.#next.set(key, start + perMs / limit);
    const use = this.#used.get(key) ?? { starts: 0, waitMs: 0 };
    this.#used.set(key, { starts: use.starts + 1, waitMs: use.waitMs + start - now });
    return start - now;
  }
}
