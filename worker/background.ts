/**
 * What a worker does now and then beside its lanes, until it is stopped. A task that fails is told of
 * and tried again: nothing that fails in the background ends the worker, or the tasks beside it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { Trouble, type Clock } from "../sdk/internal.ts";

const SAYS = {
  fails: "background work of the worker fails; it is tried again",
  goesOn: "background work of the worker that failed goes on",
};

export class Background {
  readonly #signal: AbortSignal;
  readonly #logger: Logger;
  /** For all partitions together. */
  readonly #trouble: Trouble;
  readonly #loops: Promise<void>[] = [];

  /** Its tasks go on until the signal. */
  constructor(signal: AbortSignal, logger: Logger, clock: Clock) {
    this.#signal = signal;
    this.#logger = logger;
    this.#trouble = new Trouble({ logger, nowMs: () => clock.monotonicMs(), says: SAYS });
  }

  /** Has a task done every so often, and for the first time after `firstMs`. */
  every(what: string, ms: number, task: () => Promise<void>, firstMs = ms): void {
    this.#loops.push(this.#loop(what, ms, task, firstMs));
  }

  /** Resolves when no task is under way any more; call it after the signal. */
  async ended(): Promise<void> {
    await Promise.all(this.#loops.splice(0));
  }

  /** Waits for `work`, but not for ever; what fails later is told. */
  async inTime(work: Promise<unknown>, ms: number): Promise<void> {
    let isLate = false;
    const limit = this.pause(ms).then(() => (isLate = true));
    work.catch((error: unknown) => {
      if (isLate) {
        this.#logger.warn({ err: error }, "the worker has not begun with all partitions");
      }
    });
    await Promise.race([work, limit]);
  }

  /** So long, or until the signal. */
  async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#signal }).catch(() => undefined);
  }

  async #loop(what: string, ms: number, task: () => Promise<void>, firstMs: number): Promise<void> {
    for (let waitMs = firstMs; !this.#signal.aborted; waitMs = ms) {
      await this.pause(waitMs);
      if (!this.#signal.aborted) {
        await task().then(
          () => this.#trouble.over(what),
          (error: unknown) => this.#trouble.meet(error, what),
        );
      }
    }
  }
}
