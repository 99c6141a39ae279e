/** Which rates are looked at when, and how many are remembered. */
import { expect, it } from "vitest";
import { RateDues } from "./rate-dues.ts";

const gate = (i: number) => ({ tenant: "", gate: `g${i}` });

it("a gate is due once, by the newest word about it", () => {
  const dues = new RateDues();
  dues.add(gate(1), 10);
  dues.add(gate(2), 30);
  dues.add(gate(1), 20);
  expect(dues.take(15)).toEqual([]);
  expect(dues.nextMs).toBe(20);
  expect(dues.take(20)).toEqual([gate(1)]);
  expect([dues.nextMs, dues.take(29), dues.take(40), dues.nextMs]).toEqual([
    30,
    [],
    [gate(2)],
    Infinity,
  ]);
});

it("of very many some are remembered, and the others left to the sweep", () => {
  const dues = new RateDues();
  for (let i = 0; i < 200_000; i++) {
    dues.add(gate(i), 1000 + i);
  }
  expect(dues.size).toBe(10_000);
  expect([dues.nextMs, dues.take(1001)]).toEqual([1000, [gate(0), gate(1)]]);
});
