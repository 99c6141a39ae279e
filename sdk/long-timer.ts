/** Timers for any time: those of Node take 2^31 - 1 ms, about 25 days, and fire at once over it. */

/** Longest time of one timer of Node, ms. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

/** A timer that can be taken off. */
export interface LongTimer {
  clear(): void;
}

/**
 * Calls `then` in `ms`, by as many timers one after the other as that takes; unless `holds`, the process
 * may end before.
 */
export function longTimer(ms: number, then: () => void, holds = true): LongTimer {
  let timer: NodeJS.Timeout;
  const arm = (leftMs: number): void => {
    const nextMs = Math.min(leftMs, TIMER_MS_MAX);
    timer = setTimeout(() => (nextMs < leftMs ? arm(leftMs - nextMs) : then()), nextMs);
    void (holds || timer.unref());
  };
  arm(ms);
  return { clear: () => clearTimeout(timer) };
}
