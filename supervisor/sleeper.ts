/**
 * Finds runs that have waited for long, and will for long, and has them leave Redis: the script
 * freezes them, the archiver commits that, the releaser removes their keys (docs/hibernate.md).
 *
 * Candidates come from Postgres by their last news, a page at a time; whether a run really waits is
 * decided by the script. The threshold and the time before which a run is woken lie between
 * now and its earliest timer, so none is put to sleep only to be woken.
 */
import { hibernateRuns, redisTimeMs, removeTombstones } from "../sdk/internal.ts";
import { FIRST_RUN, idleRuns } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { Loop } from "./loop.ts";
import { WAKE_LEAD_MS } from "./waker.ts";

const PAGE = 100;
const LOOK_MS_MAX = 30_000;
const LOOK_MS_MIN = 50;

export class Sleeper extends Loop {
  readonly #context: SupervisorContext;
  readonly #partition: number;
  readonly #afterMs: number;
  #after = FIRST_RUN;
  #count = 0;

  constructor(context: SupervisorContext, partition: number, afterMs: number) {
    super({
      name: `sleeper ${partition}`,
      logger: context.logger,
      step: async () => {
        if (await this.look()) {
          return 1;
        }
        return Math.max(LOOK_MS_MIN, Math.min(LOOK_MS_MAX, afterMs / 4));
      },
    });
    this.#context = context;
    this.#partition = partition;
    this.#afterMs = afterMs;
  }

  /** Looks at one page of candidates; true if there may be more. */
  async look(): Promise<boolean> {
    const { db, logger } = this.#context;
    const scripts = scriptsOf(this.#context, this.#partition);
    const nowMs = await redisTimeMs(scripts);
    const sinceMs = nowMs - this.#afterMs;
    const page = await idleRuns(db, this.#partition, sinceMs, this.#after, PAGE);
    if (page.length > 0) {
      const ids = page.map(({ id }) => id);
      const answers = await hibernateRuns(scripts, ids, this.#afterMs + WAKE_LEAD_MS);
      this.#count += answers.filter((answer) => answer === "asleep").length;
    }
    if (page.length === PAGE) {
      this.#after = page.at(-1) ?? FIRST_RUN;
      return true;
    }
    this.#after = FIRST_RUN;
    // Where everything sleeps, nothing else removes tombstones that are over.
    await removeTombstones(scripts, nowMs);
    if (this.#count > 0) {
      logger.info({ partition: this.#partition, runs: this.#count }, "runs fell asleep");
      this.#count = 0;
    }
    return false;
  }
}
