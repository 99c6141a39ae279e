/**
 * Which runs have ended for good: their end is in Postgres.
 *
 * The feed tells what Redis says, as it happens, and Redis may be lost with what it said last. That
 * a run has ended is told when it holds whatever dies: who hears it goes away, and asks for the
 * result. And a run may end before it begins, of which Redis says nothing at all. One query looks
 * for all ends that somebody waits for.
 *
 * An end has a time. A run that was lost with Redis and has ended once more has another.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";

const RETRY_MS = 500;

export class Ends<T extends { id: string }> {
  readonly #look: (runIds: string[]) => Promise<T[]>;
  readonly #everyMs: number;
  readonly #logger: Logger;
  readonly #waiting = new Map<string, (end: T) => void>();
  #looking: Promise<void> | null = null;
  #isStopped = false;

  /** `look`: what there is to tell of those of these runs of which there is. */
  constructor(look: (runIds: string[]) => Promise<T[]>, everyMs: number, logger: Logger) {
    this.#look = look;
    this.#everyMs = everyMs;
    this.#logger = logger;
  }

  /** Resolves with what is told of the run; never, if it is forgotten before. */
  when(runId: string): Promise<T> {
    return new Promise((resolve) => {
      const other = this.#waiting.get(runId);
      this.#waiting.set(runId, (end) => {
        other?.(end);
        resolve(end);
      });
      this.#looking ??= this.#lookAgain();
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

  async #lookAgain(): Promise<void> {
    while (this.#waiting.size > 0 && !this.#isStopped) {
      let waitMs = this.#everyMs;
      try {
        for (const end of await this.#look([...this.#waiting.keys()])) {
          this.#waiting.get(end.id)?.(end);
          this.#waiting.delete(end.id);
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
