/**
 * What rate limits of nodes do, as docs/limits.md says it: starts of one key are an interval apart, and
 * whoever asks gets the next that is free. Throws where the engine says otherwise.
 */
import type { ClockedCall } from "./clocked-scripts.ts";

export class RateModel {
  /** The next free start of each key, us. */
  readonly #free = new Map<string, number>();

  /** Takes a call of take_slot in; throws if it was answered otherwise than it should have been. */
  heard({ key, args, nowMs, answer }: ClockedCall): void {
    const [intervalUs = 0, , isReserved] = args.map(Number);
    const nowUs = nowMs * 1000;
    // Nobody pushes the starts of a key away here: one that was reserved can be used.
    const startUs = isReserved === 1 ? nowUs : Math.max(this.#free.get(key) ?? 0, nowUs);
    if (isReserved !== 1) {
      this.#free.set(key, startUs + intervalUs);
    }
    const waitMs = Math.ceil((startUs - nowUs) / 1000);
    if (answer !== waitMs) {
      throw new Error(`rate limit ${key}: a start in ${answer} ms, the next is in ${waitMs} ms`);
    }
  }
}
