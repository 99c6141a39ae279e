/**
 * Long polls: who waits for a run's end, for a while. One query looks for the ends of all of them.
 */
import type { Logger } from "pino";
import { GavotteError } from "../../sdk/internal.ts";
import { endedAmong, type Database } from "../../sdk/postgres/index.ts";
import { Ends } from "../ends.ts";

const LOOK_MS = 50;
const WAITS_MAX = 5000;

export class EndWaits {
  readonly #ends: Ends<{ id: string; endedAtMs: number }>;
  readonly #runs = new Map<string, { waiting: number; end: Promise<unknown> }>();
  readonly #stopped = new AbortController();
  #waiting = 0;

  constructor(db: Database, logger: Logger) {
    this.#ends = new Ends((ids) => endedAmong(db, ids), LOOK_MS, logger);
  }

  /**
   * Resolves when the run has ended, when the time is over, when `signal` says that nobody waits any
   * more, or when the gateway stops: whoever asks looks himself. Throws GV_GATEWAY_BUSY.
   */
  async wait(runId: string, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#waiting >= WAITS_MAX) {
      const message = `${WAITS_MAX} requests wait for results at this gateway; try again later`;
      throw new GavotteError("GV_GATEWAY_BUSY", message);
    }
    const run = this.#runs.get(runId) ?? { waiting: 0, end: this.#ends.when(runId) };
    this.#runs.set(runId, run);
    run.waiting++;
    this.#waiting++;
    let timer: NodeJS.Timeout | undefined;
    const over = AbortSignal.any([signal, this.#stopped.signal]);
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
      over.addEventListener("abort", () => resolve(), { once: true });
      void (over.aborted && resolve());
    });
    await Promise.race([run.end, late]);
    clearTimeout(timer);
    this.#waiting--;
    if (--run.waiting === 0) {
      this.#runs.delete(runId);
      this.#ends.forget(runId);
    }
  }

  /** Lets everybody go. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#ends.stop();
  }
}
