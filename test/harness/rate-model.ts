/**
 * What rate limits of nodes do, as docs/limits.md says it: starts of one key are an interval apart, and
 * whoever asks gets the next that is free. Throws where the engine says otherwise.
 */
import type { ClockedCall } from "./clocked-scripts.ts";

export class RateModel {
  /** The next free start of each key, us. */
  readonly #free = new Map<string, number>();
  /** An interval after what began last, and the next free start of those that came too late, us. */
  readonly #begun = new Map<string, { freeUs: number; lateUs: number }>();

  /** Takes a call of take_slot in; throws if it was answered otherwise than it should have been. */
  heard({ key, args, nowMs, answer }: ClockedCall): void {
    const [intervalUs = 0, , isReserved, , slackUs = 0] = args.map(Number);
    const nowUs = nowMs * 1000;
    const begun = this.#begun.get(key) ?? { freeUs: 0, lateUs: 0 };
    this.#begun.set(key, begun);
    // Nobody pushes the starts of a key away here, and nobody waits in its worker.
    const mayUs = begun.freeUs - slackUs;
    let startUs = Math.max(nowUs, mayUs);
    if (isReserved !== 1) {
      startUs = Math.max(this.#free.get(key) ?? 0, startUs);
      this.#free.set(key, startUs + intervalUs);
    } else if (mayUs > nowUs) {
      startUs = Math.max(mayUs, begun.lateUs);
      begun.lateUs = startUs + intervalUs;
    } else {
      begun.freeUs = Math.max(nowUs, begun.freeUs) + intervalUs;
    }
    const waitMs = Math.ceil((startUs - nowUs) / 1000);
    if (answer !== waitMs) {
      throw new Error(`rate limit ${key}: a start in ${answer} ms, the next is in ${waitMs} ms`);
    }
  }
}
