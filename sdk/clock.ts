/**
 * The process's clock as an argument, so that tests can move it. It is used for intervals, logs and
 * rows; ownership and due times are judged by Redis' own clock.
 */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number;
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

export const systemClock: Clock = { nowMs: () => Date.now() };
