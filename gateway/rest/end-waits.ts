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
  readonly #max: number;
  /** By run, what lets each of those go who wait for its end. */
  readonly #runs = new Map<string, Set<() => void>>();
  #waiting = 0;
  #isStopped = false;

  /** `max`: how many wait at one time, in tests otherwise. */
  constructor(db: Database, logger: Logger, max = WAITS_MAX) {
    this.#ends = new Ends((ids) => endedAmong(db, ids), LOOK_MS, logger);
    this.#max = max;
  }

  /**
   * Resolves when the run has ended, when the time is over, when `signal` says that nobody waits any
   * more, or when the gateway stops: whoever asks looks himself. Throws GV_GATEWAY_BUSY.
   */
  async wait(runId: string, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#waiting >= this.#max) {
      const message = `${this.#max} requests wait for results at this gateway; try again later`;
      throw new GavotteError("GV_GATEWAY_BUSY", message);
    }
    if (this.#isStopped || signal.aborted) {
      return;
    }
    this.#waiting++;
    const waiting = this.#runs.get(runId) ?? this.#lookFor(runId);
    // One entry each, gone with whoever waited: a run may last for days, and be asked for all the time.
    await new Promise<void>((resolve) => {
      const go = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", go);
        waiting.delete(go);
        resolve();
      };
      const timer = setTimeout(go, ms);
      signal.addEventListener("abort", go);
      waiting.add(go);
    });
    this.#waiting--;
    if (waiting.size === 0 && this.#runs.get(runId) === waiting) {
      this.#runs.delete(runId);
      this.#ends.forget(runId);
    }
  }

  /** Lets everybody go. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    [...this.#runs.values()].forEach((waiting) => waiting.forEach((go) => go()));
    await this.#ends.stop();
  }

  #lookFor(runId: string): Set<() => void> {
    const waiting = new Set<() => void>();
    this.#runs.set(runId, waiting);
    void this.#ends.when(runId).then(() => waiting.forEach((go) => go()));
    return waiting;
  }
}
