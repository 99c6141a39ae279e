/**
 * Retention: deletes runs that ended long ago, where the deployment says so. One process does it, by
 * a role of its own: nothing is urgent, and several would look at the same rows.
 *
 * A pass goes through all ended runs that are old enough, oldest first, a page per transaction, and
 * passes what has to stay; the next begins anew. How old something is goes by the database's clock:
 * this process' may have been set ahead, and what is deleted does not come back.
 */
import {
  databaseTimeMs,
  deleteSubmissionLetters,
  FIRST_RUN,
  type RunCursor,
} from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";
import { Loop } from "./loop.ts";
import { prunePage } from "./prune.ts";

export interface RetentionOptions {
  /** How long ended runs are kept, ms. */
  endedMs: number;
  /** How long those with an open dead letter are, at least `endedMs`; 0: until it is settled. */
  lettersMs: number;
}

/** Between two passes. */
const PASS_MS = 600_000;

export class Retention extends Loop {
  readonly #context: SupervisorContext;
  readonly #options: RetentionOptions;
  #after: RunCursor = FIRST_RUN;
  #deleted = 0;

  constructor(context: SupervisorContext, options: RetentionOptions) {
    super({
      name: "retention",
      logger: context.logger,
      step: async () => ((await this.look()) ? 0 : PASS_MS),
    });
    this.#context = context;
    this.#options = options;
  }

  /** One page; false: it was the last of its pass. */
  async look(): Promise<boolean> {
    const { db, redis, deployment, logger } = this.#context;
    const { endedMs, lettersMs } = this.#options;
    const nowMs = await databaseTimeMs(db);
    const rule = {
      endedBeforeMs: nowMs - endedMs,
      lettersBeforeMs: lettersMs === 0 ? 0 : nowMs - lettersMs,
    };
    const page = await prunePage({ redis, db, ...deployment }, rule, this.#after);
    this.#after = page.next ?? FIRST_RUN;
    this.#deleted += page.runs;
    if (page.next !== null) {
      return true;
    }
    const submissions = await deleteSubmissionLetters(db, rule, false);
    if (this.#deleted + submissions > 0) {
      logger.info({ runs: this.#deleted, submissions }, "deleted what ended long ago");
    }
    this.#deleted = 0;
    return false;
  }
}
