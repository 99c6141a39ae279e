/** When rates that keep somebody waiting have their next starts, by this process' monotonic clock. */
import type { Gate } from "../sdk/postgres/index.ts";

/** What is beyond that the sweep finds. */
const DUES_MAX = 10_000;

export class RateDues {
  readonly #dues = new Map<string, Gate & { atMs: number }>();
  #nextMs = Infinity;

  /** The earliest; Infinity: there is none. */
  get nextMs(): number {
    return this.#nextMs;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#dues.size;
  }

  /** The newest word about a gate is the one that counts. */
  add({ tenant, gate }: Gate, atMs: number): void {
    const key = `${gate}\0${tenant}`;
    if (this.#dues.size < DUES_MAX || this.#dues.has(key)) {
      this.#dues.set(key, { tenant, gate, atMs });
      this.#nextMs = Math.min(this.#nextMs, atMs);
    }
  }

  /** Those that are due, and are forgotten. Looks through the others only when one is. */
  take(nowMs: number): Gate[] {
    if (this.#nextMs > nowMs) {
      return [];
    }
    const due: Gate[] = [];
    this.#nextMs = Infinity;
    for (const [key, { tenant, gate, atMs }] of this.#dues) {
      if (atMs <= nowMs) {
        due.push({ tenant, gate });
        this.#dues.delete(key);
      } else {
        this.#nextMs = Math.min(this.#nextMs, atMs);
      }
    }
    return due;
  }
}
