/**
 * Firing timers: retries, delays, run time-outs.
 *
 * Several processes may fire the same timers: the script lets the first win. The wait between two
 * looks is short, and the archiver, which sees timers being armed, cuts it shorter; losing that
 * hint costs latency only. Time is Redis' own.
 */
import { fireTimers, redisTimeMs, SCRIPT_BATCH_MAX } from "../sdk/internal.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { Loop } from "./loop.ts";

const WAIT_MS_MAX = 250;

export class Timers extends Loop {
  #nextMs: number | null = null;

  constructor(context: SupervisorContext, partition: number) {
    const scripts = scriptsOf(context, partition);
    super({
      name: `timers ${partition}`,
      logger: context.logger,
      step: async () => {
        const { due, nextMs } = await fireTimers(scripts);
        this.#nextMs = nextMs;
        if (due >= SCRIPT_BATCH_MAX) {
          return 0;
        }
        if (nextMs === null) {
          return WAIT_MS_MAX;
        }
        const waitMs = nextMs - (await redisTimeMs(scripts)) + 1;
        return Math.max(1, Math.min(waitMs, WAIT_MS_MAX));
      },
    });
  }

  /** A timer was armed that is due at `dueMs`. */
  expect(dueMs: number): void {
    if (this.#nextMs === null || dueMs < this.#nextMs) {
      this.wake();
    }
  }
}
