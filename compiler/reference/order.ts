/**
 * Which token is next: the only freedom that an interpretation has. Workflows without `any` and
 * `count` joins and without an unhandled failure under fail-fast must not show it in their results.
 */
import type { Scheduler } from "./types.ts";

/** First come, first served. */
export const firstCome: Scheduler = () => 0;

/** The token that became ready last: follows one branch to its end before the others. */
export const lastCome: Scheduler = (ready) => ready.length - 1;

/** A random order that is the same for the same seed (a 32-bit integer). */
export function seededOrder(seed: number): Scheduler {
  const random = seededNumbers(seed);
  return (ready) => Math.floor(random() * ready.length);
}

/**
 * The order in which another execution ended its tokens; one entry per attempt. Tokens that it does
 * not name (it dropped them, or never came to them) wait until nothing else is ready. Only those
 * that were ended by hand may have waited then.
 */
export function recordedOrder(
  ends: readonly { node: string; scope: string; home?: string; isByHand?: boolean }[],
): Scheduler {
  const left = [...ends];
  return (ready, waiting) => {
    const all = [...ready, ...waiting];
    for (let i = 0; i < left.length; i++) {
      const { node, scope, home = "", isByHand = false } = left[i] ?? {};
      const from = isByHand ? all : ready;
      const at = from.findIndex((t) => t.node === node && t.scope === scope && t.home === home);
      if (at < 0) continue;
      left.splice(i, 1);
      return at;
    }
    return 0;
  };
}

/** A small generator of numbers from 0 up to 1, well mixed for any seed (mulberry32). */
export function seededNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
