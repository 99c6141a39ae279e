/** Counts the ends of runs while everything else goes on, and the longest time without one. */
import { endedCount } from "./progress.ts";
import type { ChaosStack } from "./stack.ts";

const LOOK_MS = 100;

/** Looks every few ms. */
export class Watch {
  readonly #stack: ChaosStack;
  #timer: NodeJS.Timeout | undefined;
  #changedMs = performance.now();
  ended = 0;
  longestMs = 0;

  constructor(stack: ChaosStack) {
    this.#stack = stack;
  }

  start(): void {
    this.#changedMs = performance.now();
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const n = await endedCount(this.#stack.db).catch(() => this.ended);
    if (n > this.ended) {
      this.longestMs = Math.max(this.longestMs, Math.round(performance.now() - this.#changedMs));
      this.ended = n;
      this.#changedMs = performance.now();
    }
  }
}
