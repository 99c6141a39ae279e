/** What one worker begins under a rate limit when Redis' answers take their time. */
import { describe, expect, it } from "vitest";
import { distanceOf } from "../sdk/internal.ts";
import { RateTurns } from "./rate-turns.ts";

interface Limit {
  limit: number;
  per_ms: number;
}

const SECOND = 1_000;

/** A clock that goes on to whoever is to be woken next; between two of them nothing takes time. */
function clock() {
  let nowMs = 0;
  const asleep: { atMs: number; wake: () => void }[] = [];
  const sleep = (ms: number): Promise<void> =>
    new Promise((wake) => {
      asleep.push({ atMs: nowMs + ms, wake });
      asleep.sort((a, b) => a.atMs - b.atMs);
    });
  const run = async (untilMs: number): Promise<void> => {
    for (;;) {
      for (let i = 0; i < 20; i++) await Promise.resolve(); // whatever goes on without time
      const next = asleep.shift();
      if (next === undefined || next.atMs > untilMs) {
        return;
      }
      nowMs = next.atMs;
      next.wake();
    }
  };
  return { nowMs: () => nowMs, sleep, run };
}

/** What `take_slot` says to one that wants to begin. */
function redis(limit: Limit, nowMs: () => number): (holdMs: number) => number {
  const { intervalUs, slackUs } = distanceOf(limit);
  let begun = 0;
  let late = 0;
  return (holdMs) => {
    const now = nowMs() * 1000;
    let start = begun - slackUs;
    if (start > now && start - now <= holdMs * 1000) {
      return -Math.ceil((start - now) / 1000);
    }
    if (start > now) {
      start = Math.max(start, late);
      late = start + intervalUs;
    } else {
      start = now;
      begun = Math.max(now, begun) + intervalUs;
    }
    return Math.ceil((start - now) / 1000);
  };
}

/** When tokens begin that come as fast as their limit has starts, for a second; and what was asked. */
async function second(limit: Limit, tripMs: number): Promise<{ begun: number[]; asked: number }> {
  const { nowMs, sleep, run } = clock();
  const answer = redis(limit, nowMs);
  const turns = new RateTurns({ nowMs, pause: sleep });
  const begun: number[] = [];
  let asked = 0;
  const ask = async (holdMs: number): Promise<number> => {
    asked++;
    await sleep(tripMs / 2);
    const told = answer(holdMs);
    await sleep(tripMs / 2);
    return told;
  };
  const one = async (): Promise<void> => {
    for (let ms = await turns.begin("k", limit, ask); ms > 0;) {
      await sleep(ms);
      ms = await turns.begin("k", limit, ask);
    }
    begun.push(nowMs());
  };
  const come = async (): Promise<void> => {
    for (let i = 0; i < limit.limit; i++) {
      void one();
      await sleep(distanceOf(limit).intervalUs / 1000);
    }
  };
  void come();
  await run(SECOND);
  return { begun, asked };
}

describe("a worker far from Redis", () => {
  it.each([
    [1000, 0.1],
    [1000, 1.5],
    [1000, 3],
    [200, 15],
  ])("has all starts of a limit of %i in a second: an answer takes %f ms", async (limit, trip) => {
    const { begun, asked } = await second({ limit, per_ms: SECOND }, trip);
    expect(begun.length).toBeGreaterThan(0.9 * limit);
    expect(begun.length).toBeLessThanOrEqual(limit);
    expect(asked).toBeLessThan(3 * limit);
  });

  it.each([0.1, 3, 10])("below a hundred in a second, too, each apart: %f ms", async (trip) => {
    const limit = { limit: 40, per_ms: SECOND };
    const { begun, asked } = await second(limit, trip);
    expect(begun.length).toBeGreaterThan(0.9 * limit.limit);
    const apart = begun.slice(1).map((at, i) => at - (begun[i] ?? 0));
    expect(Math.min(...apart)).toBeGreaterThanOrEqual(25);
    expect(asked).toBeLessThan(1.5 * limit.limit);
  });
});
