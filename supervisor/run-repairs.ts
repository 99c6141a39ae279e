/**
 * Repairs that an archiver makes between two of its blocks: of runs that a block names as suspect, and
 * now and then of those whose repair was cut off.
 *
 * None of it may hold the archive up. A run is frozen before the block with its gap is committed,
 * since what goes on in it afterwards could not be told from the journal; what fails at its repair is
 * tried again at a later look, because the run is marked in Postgres.
 */
import { seenOf, suspectRun } from "../sdk/internal.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { repairRuns, repairSuspects } from "./repair.ts";

/** Between two looks for runs whose repair was cut off. */
const SUSPECTS_MS = 30_000;
/** Statuses in Redis of a run that may go on. */
const MAY_BE_FROZEN: ReadonlySet<string> = new Set(["running", "paused", "finishing", "asleep"]);

export class RunRepairs {
  readonly #context: SupervisorContext;
  readonly #partition: number;
  #sweepAtMs = 0;

  constructor(context: SupervisorContext, partition: number) {
    this.#context = context;
    this.#partition = partition;
  }

  /** Between two blocks, now and then: runs whose repair was cut off. */
  async sweep(): Promise<void> {
    const now = this.#context.clock.monotonicMs();
    if (now >= this.#sweepAtMs) {
      this.#sweepAtMs = now + SUSPECTS_MS;
      await this.#try(() => repairSuspects(this.#context, this.#partition));
    }
  }

  /** Before the commit: nothing goes on any more in these runs. */
  async freeze(runIds: Iterable<string>): Promise<void> {
    const scripts = scriptsOf(this.#context, this.#partition);
    for (const runId of new Set(runIds)) {
      const seen = await seenOf(scripts, runId);
      if (MAY_BE_FROZEN.has(seen.status)) {
        await suspectRun(scripts, seen);
      }
    }
  }

  /** After the commit. */
  async repair(runIds: readonly string[]): Promise<void> {
    if (runIds.length > 0) {
      await this.#try(() => repairRuns(this.#context, this.#partition, runIds));
    }
  }

  /** Thrown on, it would keep all that the partition does from its archive, for one run that fails. */
  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const facts = { err: error, partition: this.#partition };
      this.#context.logger.warn(facts, "a repair was cut off; it is tried again");
    }
  }
}
