import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { TIMER_MS_MAX } from "./long-timer.ts";
import { timeLimit } from "./time-limit.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it("is over when its time is, also where that is longer than a timer of Node's takes", () => {
  const ms = 2 * TIMER_MS_MAX + 5000;
  const { signal } = timeLimit(ms);
  vi.advanceTimersByTime(ms - 1);
  expect(signal.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(signal.reason).toMatchObject({ name: "TimeoutError", message: `not within ${ms} ms` });
});

it("is never over if it is without end", () => {
  const { signal, clear } = timeLimit(Infinity);
  vi.advanceTimersByTime(3 * TIMER_MS_MAX);
  expect([signal.aborted, vi.getTimerCount()]).toEqual([false, 0]);
  clear();
});

it("leaves nothing behind once nobody waits any more", () => {
  const { signal, clear } = timeLimit(60_000);
  clear();
  expect([signal.aborted, vi.getTimerCount()]).toEqual([false, 0]);
});

it("is a number", () => {
  for (const ms of [NaN, -1]) {
    expect(() => timeLimit(ms)).toThrow(expect.objectContaining({ code: "GV_BAD_INPUT" }));
  }
});
