/**
 * A service that repeats one step until it is stopped.
 *
 * An error in a step is told (trouble.ts) and waited out with back-off: trouble with the world passes,
 * and none of it may end the process. Stopping aborts the signal that the step was given.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { systemClock, type Service } from "../sdk/internal.ts";
import { endTrouble, meetTrouble } from "./trouble.ts";

export interface LoopOptions {
  name: string;
  logger: Logger;
  /** One step; resolves with the ms to wait before the next (0: none). */
  step(signal: AbortSignal): Promise<number>;
  /** Runs once before the first step; if it fails, so does start(). */
  open?(): Promise<void>;
  /** Makes a blocked step return, e.g. closes its connection. */
  interrupt?(): void;
  /** Runs once after the last step. */
  close?(): Promise<void>;
}

const ERROR_WAIT_MS_MIN = 100;
const ERROR_WAIT_MS_MAX = 5000;

export class Loop implements Service {
  readonly name: string;
  readonly #options: LoopOptions;
  readonly #abort = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;

  constructor(options: LoopOptions) {
    this.name = options.name;
    this.#options = options;
  }

  async start(): Promise<void> {
    if (this.#running === null && this.#stopping === null) {
      await this.#options.open?.();
      this.#running = this.#run();
    }
  }

  stop(deadlineMs: number): Promise<void> {
    this.#stopping ??= this.#stop(deadlineMs);
    return this.#stopping;
  }

  /** Ends a wait between two steps early. */
  wake(): void {
    this.#wake.abort();
  }

  async #stop(deadlineMs: number): Promise<void> {
    this.#abort.abort();
    this.wake();
    this.#options.interrupt?.();
    const endsMs = systemClock.monotonicMs() + deadlineMs;
    await within(this.#running ?? Promise.resolve(), deadlineMs);
    const leftMs = Math.max(0, endsMs - systemClock.monotonicMs());
    await within(this.#options.close?.() ?? Promise.resolve(), leftMs);
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    let failures = 0;
    const { logger } = this.#options;
    while (!signal.aborted) {
      let waitMs: number;
      try {
        waitMs = await this.#options.step(signal);
        failures = 0;
        endTrouble(logger, this.name, "over");
      } catch (error) {
        if (signal.aborted) {
          break;
        }
        waitMs = Math.min(ERROR_WAIT_MS_MIN * 2 ** Math.min(failures++, 16), ERROR_WAIT_MS_MAX);
        meetTrouble(logger, this.name, error);
      }
      await this.#pause(waitMs);
    }
    endTrouble(logger, this.name, "giveUp");
  }

  async #pause(waitMs: number): Promise<void> {
    if (waitMs > 0 && !this.#abort.signal.aborted) {
      const { signal } = this.#wake;
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
    }
    if (this.#wake.signal.aborted) {
      this.#wake = new AbortController();
    }
  }
}

/** Waits for `work`, at most `deadlineMs`. */
export async function within(work: Promise<unknown>, deadlineMs: number): Promise<void> {
  const limit = new AbortController();
  const late = delay(deadlineMs, undefined, { signal: limit.signal }).catch(() => undefined);
  await Promise.race([work, late]);
  limit.abort();
}
