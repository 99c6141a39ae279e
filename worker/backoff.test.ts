import { expect, it } from "vitest";
import { DURATION_MS_MAX, type IrRetry } from "../compiler/ir.ts";
import { RetryLater } from "../sdk/internal.ts";
import { backoffMs, holdableMs } from "./backoff.ts";
import { toExecutionError } from "./kinds/kind.ts";

const RETRY: IrRetry = {
  ...{ max_attempts: 9, backoff_ms: 100, backoff_multiplier: 2, max_backoff_ms: 500, jitter: 0 },
};
const waits = (retry: Partial<IrRetry>): number[] =>
  [1, 2, 3, 4].map((attempt) => backoffMs({ ...RETRY, ...retry }, attempt, 0.5));

it("waits longer before each attempt, up to the cap", () => {
  expect(waits({})).toEqual([100, 200, 400, 500]);
});

it("X24: waits by its jitter less or longer, and by no more", () => {
  const drawn = (random: number): number => backoffMs({ ...RETRY, jitter: 0.2 }, 2, random);
  expect([0, 0.5, 1 - Number.EPSILON].map(drawn)).toEqual([160, 200, 240]);
});

it("waits a number of milliseconds whatever the multiplier grows to", () => {
  expect(waits({ backoff_ms: 0, backoff_multiplier: 1e200 })).toEqual([0, 0, 0, 0]);
  expect(waits({ backoff_ms: 1, backoff_multiplier: 1e200 })).toEqual([1, 500, 500, 500]);
  const endless = { backoff_multiplier: 1e200, max_backoff_ms: 1e300 };
  expect(waits(endless).slice(1)).toEqual([DURATION_MS_MAX, DURATION_MS_MAX, DURATION_MS_MAX]);
});

it("holds a wait that is asked for between none and the longest", () => {
  expect([-5, 0.4, 1500.6, 1e300].map(holdableMs)).toEqual([0, 0, 1501, DURATION_MS_MAX]);
});

it("takes no wait from a handler that is not a number of milliseconds", () => {
  const asked = (delayMs: unknown): number | undefined =>
    toExecutionError({ code: "RETRY_LATER", message: "later", delayMs }).retryAfterMs;
  expect([NaN, Infinity, "5", 5].map(asked)).toEqual([undefined, undefined, undefined, 5]);
});

it("refuses to be tried again after a time that is none", () => {
  expect(() => new RetryLater(NaN)).toThrow(/NaN/);
  expect(() => new RetryLater(Infinity)).toThrow(/Infinity/);
  expect(new RetryLater(-1).delayMs).toBe(-1);
});
