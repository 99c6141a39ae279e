/** What the slow lane keeps from being taken for left behind: what waits in it, and for how long. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { systemClock, type Clock } from "../sdk/internal.ts";
import type { SupervisorContext } from "./context.ts";
import { SlowLane } from "./slow-lane.ts";

const TOUCH_MS = 3000;
/** Longer than any pass takes. */
const HANGS_MS = 3_600_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A lane whose only pass does not end until it is told to, with these pending for its supervisor. */
function busyLane(
  waits: readonly string[],
  pending: readonly string[],
): { touched: () => Promise<string[]>; passMs: (ms: number) => void; end: () => void } {
  let aheadMs = 0;
  let claimed: string[] = [];
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const clock: Clock = { ...systemClock, monotonicMs: () => aheadMs };
  const redis = {
    xrange: (_stream: string, id: string) => Promise.resolve([[id, []]]),
    xpending: () => Promise.resolve(pending.map((id) => [id])),
    xclaim: (...[, , , , ...ids]: string[]) => {
      claimed = ids.slice(0, -1);
      return Promise.resolve([]);
    },
  };
  const context = { id: "test", clock, redis } as unknown as SupervisorContext;
  const lane = new SlowLane(context, () => ended.then(() => new Set()), TOUCH_MS);
  const ofOne = waits.map((id) => [id, ""] as const);
  lane.add(ofOne, new AbortController().signal);
  return {
    touched: async () => {
      claimed = [];
      await vi.advanceTimersByTimeAsync(TOUCH_MS);
      return claimed;
    },
    passMs: (ms) => (aheadMs = ms),
    end,
  };
}

it("touches all that is in it, and nothing else that is pending for its supervisor", async () => {
  const lane = busyLane(["1-0", "2-0"], ["1-0", "2-0", "9-0"]);
  expect(await lane.touched()).toEqual(["1-0", "2-0"]);
  expect(await lane.touched()).toEqual(["1-0", "2-0"]);
  lane.end();
});

it("leaves it to others when a pass takes longer than any file may", async () => {
  const lane = busyLane(["1-0"], ["1-0"]);
  expect(await lane.touched()).toEqual(["1-0"]);
  lane.passMs(HANGS_MS);
  expect(await lane.touched()).toEqual([]);
  lane.end();
});
