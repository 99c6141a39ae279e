import { expect, it } from "vitest";
import type { Clock } from "./clock.ts";
import { startAll, stopAll, type Service } from "./service.ts";

/** Services that each take `takesMs` to stop, on a clock that moves by it; what each was given. */
function stage(): { clock: Clock; given: number[]; service(takesMs: number): Service } {
  let nowMs = 1000;
  const given: number[] = [];
  return {
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    given,
    service: (takesMs) => ({
      name: "s",
      start: () => Promise.resolve(),
      stop: (deadlineMs) => {
        given.push(deadlineMs);
        nowMs += takesMs;
        return Promise.resolve();
      },
    }),
  };
}

it("stops all services within one deadline, the last first, whatever one of them takes", async () => {
  const { clock, given, service } = stage();
  await stopAll([service(1), service(50), service(30)], 100, clock);
  expect(given).toEqual([100, 70, 20]);
});

it("tells those for which no time is left to stop at once", async () => {
  const { clock, given, service } = stage();
  await stopAll([service(0), service(150)], 100, clock);
  expect(given).toEqual([100, 0]);
});

it("stops what was started within one deadline, too, when a service cannot start", async () => {
  const { clock, given, service } = stage();
  const failing = { ...service(40), start: () => Promise.reject(new Error("no")) };
  await expect(startAll([service(30), service(30), failing], 100, clock)).rejects.toThrow("no");
  expect(given).toEqual([100, 60, 30]);
});

it("stops all, even if one fails, and tells the first error", async () => {
  const { clock, given, service } = stage();
  const failing = { ...service(0), stop: () => Promise.reject(new Error("first")) };
  await expect(stopAll([service(0), failing], 100, clock)).rejects.toThrow("first");
  expect(given).toEqual([100]);
});
