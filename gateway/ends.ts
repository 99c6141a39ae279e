/**
 * Which runs have ended for good: their end is in Postgres.
 *
 * The feed tells what Redis says, as it happens, and Redis may be lost with what it said last. That
 * a run has ended is told when it holds whatever dies: who hears it goes away, and asks for the
 * result. One query looks for all ends that somebody waits for.
 *
 * An end has a time. A run that was lost with Redis and has ended once more has another.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import { endedAmong, type Database } from "../sdk/postgres/index.ts";

const LOOK_MS = 20;
const RETRY_MS = 500;

export class Ends {
  readonly #db: Database;
  readonly #logger: Logger;
  readonly #waiting = new Map<string, (atMs: number) => void>();
  #looking: Promise<void> | null = null;
  #isStopped = false;

  constructor(db: Database, logger: Logger) {
    this.#db = db;
    this.#logger = logger;
  }

  /**
   * Resolves with the time of the run's end, Redis' clock, when that is archived; never, if it is
   * forgotten before.
   */
  whenArchived(runId: string): Promise<number> {
    return new Promise((resolve) => {
      const other = this.#waiting.get(runId);
      this.#waiting.set(runId, (atMs) => {
        other?.(atMs);
        resolve(atMs);
      });
      this.#looking ??= this.#look();
    });
  }

  /** Nobody waits for this run's end any more. */
  forget(runId: string): void {
    this.#waiting.delete(runId);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#waiting.clear();
    await this.#looking;
  }

  async #look(): Promise<void> {
    while (this.#waiting.size > 0 && !this.#isStopped) {
      let waitMs = LOOK_MS;
      try {
        for (const { id, endedAtMs } of await endedAmong(this.#db, [...this.#waiting.keys()])) {
          this.#waiting.get(id)?.(endedAtMs);
          this.#waiting.delete(id);
        }
      } catch (error) {
        this.#logger.warn({ err: error }, "whether runs have ended cannot be looked up");
        waitMs = RETRY_MS;
      }
      await pause(waitMs); // also when nobody is left: some ask again at once
    }
    this.#looking = null;
  }
}
