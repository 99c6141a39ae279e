/**
 * A run that somebody acts upon while something else stands in place of one of its keys
 * (redis/foreign-keys.ts): nothing can be done to it before it is put back from its journal.
 *
 * Who meets it asks for that, once, and waits as for any run in repair. What many runs are acted upon
 * for passes it by instead.
 */
import { GavotteError } from "./errors.ts";
import { isForeign } from "./redis/foreign-keys.ts";
import { seenOf, suspectRun } from "./redis/run-scripts.ts";
import type { ScriptRunner } from "./redis/script-runner.ts";

/** Statuses in Redis of a run that is in repair, or over. */
const LEFT_ALONE: ReadonlySet<string> = new Set(["suspect", "completed", "failed", "cancelled"]);

export class DamagedRun {
  readonly #scripts: () => Promise<ScriptRunner>;
  readonly #runId: string;
  /** What Redis says of it, once that was so. */
  #reason: string | null = null;

  constructor(runId: string, scripts: () => Promise<ScriptRunner>) {
    this.#runId = runId;
    this.#scripts = scripts;
  }

  /** What `ask` answers; null where a key is of another type: its rebuild has been asked for. */
  async unless<T>(ask: () => Promise<T>): Promise<T | null> {
    try {
      return await ask();
    } catch (error) {
      if (!isForeign(error)) {
        throw error;
      }
      await this.#askForRebuild(String((error as Error).message));
      return null;
    }
  }

  /** What whoever has waited in vain is told; `why`: where it was not damaged. */
  notReady(why: string): GavotteError {
    const damaged =
      `has been damaged (${this.#reason}) and is not rebuilt from its journal yet: a supervisor does ` +
      `that ("gavotte why ${this.#runId}" names the key)`;
    const what = this.#reason === null ? why : damaged;
    return new GavotteError("GV_RUN_NOT_READY", `run ${this.#runId} ${what}; try again later`);
  }

  async #askForRebuild(reason: string): Promise<void> {
    // Each mark of one that is not there is one more rebuild.
    if (this.#reason === null) {
      this.#reason = reason;
      const scripts = await this.#scripts();
      const seen = await seenOf(scripts, this.#runId);
      // What has ended stays so: it goes from Redis by itself.
      await (LEFT_ALONE.has(seen.status) || suspectRun(scripts, seen));
    }
  }
}
