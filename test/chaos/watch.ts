/** Counts the ends of runs while everything else goes on, and the longest time without one. */
import type { ChaosStack } from "./stack.ts";

const ENDED = {
  name: "chaos_ended",
  text: `SELECT count(*)::int AS n FROM runs
    WHERE status IN ('COMPLETED', 'FAILED', 'CANCELLED') AND idempotency_key IS NOT NULL`,
};
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
    const rows = await this.#stack.db.query<{ n: number }>(ENDED).catch(() => []);
    const n = rows[0]?.n ?? this.ended;
    if (n > this.ended) {
      this.longestMs = Math.max(this.longestMs, Math.round(performance.now() - this.#changedMs));
      this.ended = n;
      this.#changedMs = performance.now();
    }
  }
}
