/**
 * The process's clock as an argument, so that tests can move it. It is used for intervals, logs and
 * rows; ownership and due times are judged by Redis' own clock.
 */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number;
}

export const systemClock: Clock = { nowMs: () => Date.now() };
