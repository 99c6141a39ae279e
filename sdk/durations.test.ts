import { expect, it } from "vitest";
import { BUCKET_SECONDS, Durations } from "./durations.ts";

it("each duration is in the first bucket whose bound it does not exceed", () => {
  const bounds = BUCKET_SECONDS.map((seconds) => seconds * 1000);
  for (const bound of bounds) {
    for (const ms of [bound * 0.51, bound, bound * 1.01]) {
      const times = new Durations();
      times.observe(ms);
      const expected = bounds.findIndex((one) => ms <= one);
      const bucket = times.counts.findIndex((count) => count === 1);
      expect([ms, bucket]).toEqual([ms, expected < 0 ? bounds.length : expected]);
    }
  }
});

it("what takes weeks is in the last bucket, however long it is", () => {
  // From 12.4 days on the number of 0.25 ms has more than 32 binary digits.
  for (const ms of [2 ** 30, 2 ** 30 + 0.25, 2 ** 30 + 1, 2 ** 33 + 5, 1e15]) {
    const times = new Durations();
    times.observe(ms);
    expect([ms, times.counts.at(-1), times.count]).toEqual([ms, 1, 1]);
  }
});

it("what takes longer than all bounds is counted, and what a clock makes negative is nothing", () => {
  const times = new Durations();
  for (const ms of [-5, 0, 1e12]) {
    times.observe(ms);
  }
  expect([times.count, times.counts[0], times.counts.at(-1), times.sumMs]).toEqual([3, 2, 1, 1e12]);
});
