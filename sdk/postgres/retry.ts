/** What is tried again, and what is not: a database that is away, values that it refuses. */
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

/** Classes of Postgres' errors that come from values: data, integrity, limits of the program. */
const VALUE_FAULT = /^(22|23|54)...$/;

/**
 * Whether what was to be written cannot be: too long, out of range, refused by a constraint. The
 * same values fail in the same way again.
 */
export function isValueFault(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return (
    error instanceof RangeError ||
    error instanceof TypeError ||
    error instanceof SyntaxError ||
    code === "ERR_STRING_TOO_LONG" ||
    VALUE_FAULT.test(String(code))
  );
}
