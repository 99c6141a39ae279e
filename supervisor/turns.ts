/** Work by the batch on the event loop: it goes on for so long before everybody else has a turn. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../sdk/internal.ts";

const TURN_MS_MAX = 20;

export class Turns {
  readonly #clock: Clock;
  #sinceMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonicMs();
  }

  /** Null: go on; else to be waited for. Most batches have none. */
  next(): Promise<void> | null {
    const isLong = this.#clock.monotonicMs() - this.#sinceMs > TURN_MS_MAX;
    return isLong ? this.#take() : null;
  }

  async #take(): Promise<void> {
    await nextTurn();
    this.#sinceMs = this.#clock.monotonicMs();
  }
}
