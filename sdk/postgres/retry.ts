/** Waiting out a database that is away. */
import { setTimeout as delay } from "node:timers/promises";
import { isDatabaseAway } from "./connect.ts";

export interface RetryOptions {
  /** Aborted: the last error is thrown instead of waiting on. */
  signal: AbortSignal;
  /** Told of each failed attempt and how long it waits, ms. */
  onWait?: (error: unknown, waitMs: number) => void;
  waitMsMin?: number;
  waitMsMax?: number;
}

/** Repeats `work` with back-off for as long as the database is away. Other errors pass. */
export async function whileDatabaseAway<T>(
  work: () => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { signal, onWait, waitMsMin = 100, waitMsMax = 5000 } = options;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isDatabaseAway(error) || signal.aborted) {
        throw error;
      }
      const waitMs = Math.min(waitMsMin * 2 ** Math.min(attempt, 16), waitMsMax);
      onWait?.(error, waitMs);
      await delay(waitMs, undefined, { signal }).catch(() => {
        throw error;
      });
    }
  }
}
