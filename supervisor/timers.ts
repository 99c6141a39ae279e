/**
 * Firing timers: retries, delays, run time-outs.
 *
 * Every supervisor fires the timers of every partition, and the script lets the first win: bound to
 * the partition's role, which needs Postgres, retries and delays would stop while Postgres is away.
 * The wait between two looks is short, and the archiver, which sees timers being armed, cuts it
 * shorter; losing that hint costs latency only. Time is Redis' own.
 */
import { fireTimers, redisTimeMs, SCRIPT_BATCH_MAX } from "../sdk/internal.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { Loop } from "./loop.ts";

const WAIT_MS_MIN = 50;
const WAIT_MS_MAX = 250;
/** More partitions, longer waits: looking costs Redis three commands each time. */
const WAIT_MS_PER_PARTITION = 15;

export class Timers extends Loop {
  #nextMs: number | null = null;

  constructor(context: SupervisorContext, partition: number) {
    const scripts = scriptsOf(context, partition);
    const share = context.deployment.partitions * WAIT_MS_PER_PARTITION;
    const waitMsMax = Math.min(WAIT_MS_MAX, Math.max(WAIT_MS_MIN, share));
    super({
      name: `timers ${partition}`,
      logger: context.logger,
      step: async () => {
        const { due, fired, nextMs } = await fireTimers(scripts);
        context.counts.timersFired += fired;
        this.#nextMs = nextMs;
        if (due >= SCRIPT_BATCH_MAX) {
          return 0;
        }
        if (nextMs === null) {
          return waitMsMax;
        }
        const waitMs = nextMs - (await redisTimeMs(scripts)) + 1;
        return Math.max(1, Math.min(waitMs, waitMsMax));
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
