/**
 * The process's clocks as an argument, so that tests can move them. What is remembered in the process
 * to be done again, or given up, at some time goes by the monotonic one: somebody may set the other.
 * Ownership and due times are judged by Redis' own clock, ages of rows that are deleted by Postgres'.
 */
export interface Clock {
  /** Milliseconds since 1970; for rows, logs and people. */
  nowMs(): number;
  /** Milliseconds since some moment, only ever more; for intervals. */
  monotonicMs(): number;
}

/** The last moment that a Date holds. */
const DATE_MS_MAX = 8.64e15;

/**
 * A time, ms since 1970, as a timestamp. What is beyond all dates, as a wait of a run of an earlier
 * version may be due, is told as the last of them.
 */
export function timestamp(ms: number): string {
  return new Date(Math.min(ms, DATE_MS_MAX)).toISOString();
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
