/**
 * A limit of how long somebody waits: `AbortSignal.timeout` over any time. That one takes the timers
 * of Node as they are, so a limit of 30 days is over after a millisecond, and Infinity is refused.
 */
import { GavotteError } from "./errors.ts";
import { longTimer } from "./long-timer.ts";

export interface TimeLimit {
  /** Aborted with a TimeoutError when the time is over. */
  readonly signal: AbortSignal;
  /** To be called when nobody waits any more: nothing is left of it then. */
  clear(): void;
}

/** A limit that is over in `ms`, or with Infinity never. Throws GV_BAD_INPUT. */
export function timeLimit(ms: number): TimeLimit {
  if (!(ms >= 0)) {
    throw new GavotteError("GV_BAD_INPUT", `a time limit is a number of ms from 0, not ${ms}`);
  }
  const controller = new AbortController();
  const over = (): void =>
    controller.abort(new DOMException(`not within ${ms} ms`, "TimeoutError"));
  const timer = ms === Infinity ? null : longTimer(ms, over, false);
  return { signal: controller.signal, clear: () => timer?.clear() };
}
