/**
 * The sweep over rows that stayed QUEUED, because whoever accepted them died before the start, or
 * could not start them. A page at a time: rows that cannot start yet keep it from none behind them.
 */
import { SCRIPT_BATCH_MAX } from "../sdk/internal.ts";
import { databaseTimeMs, FIRST_RUN, queuedRuns } from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";
import { Loop } from "./loop.ts";
import type { Starter } from "./starter.ts";

const SWEEP_MS = 2000;
/** Before the next page, when none of one could start: all may have to wait for the same. */
const PAGE_MS = 200;
/** What was accepted a moment ago is its intake's business. */
const SWEEP_AGE_MS = 5000;

export class StartSweep extends Loop {
  readonly #context: SupervisorContext;
  readonly #starter: Starter;
  /** The last row looked at. */
  #after = FIRST_RUN;

  constructor(context: SupervisorContext, starter: Starter) {
    super({ name: "start sweep", logger: context.logger, step: () => this.look() });
    this.#context = context;
    this.#starter = starter;
  }

  /** Looks at one page; resolves with the ms to wait before the next. */
  async look(): Promise<number> {
    const { db, logger } = this.#context;
    const deadlines = await this.#starter.deadlines();
    const beforeMs = (await databaseTimeMs(db)) - SWEEP_AGE_MS;
    const rows = await queuedRuns(db, beforeMs, SCRIPT_BATCH_MAX, this.#after);
    const last = rows.length < SCRIPT_BATCH_MAX ? undefined : rows.at(-1);
    this.#after = last ?? FIRST_RUN;
    const started = rows.length === 0 ? 0 : await this.#starter.start(rows, deadlines);
    if (started > 0) {
      logger.warn({ started }, "runs accepted earlier were started now");
    }
    if (last === undefined) {
      return SWEEP_MS;
    }
    return started > 0 ? 0 : PAGE_MS;
  }
}
