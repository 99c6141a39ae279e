/** Who may start: rules that hold for any candidates and whatever is taken. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decideAdmissions,
  TURN_STEP_MS,
  turnOf,
  type Candidate,
  type Starts,
  type Taken,
} from "./admission-rules.ts";

const LIMITS: { readonly [gate: string]: number } = { k1: 1, k2: 3, r1: 2, r2: 5 };
const candidates = fc
  .array(
    fc.record({
      key: fc.constantFrom(null, "k1", "k2"),
      rate: fc.constantFrom(null, "r1", "r2"),
      rateMs: fc.constantFrom(1000, 5000),
    }),
  )
  .map((list) =>
    list.map(({ key, rate, rateMs }, i) => ({
      ...{ runId: `run-${i}`, key, rate, rateMs },
      ...{ keyLimit: LIMITS[key ?? ""] ?? 0, rateLimit: LIMITS[rate ?? ""] ?? 0 },
    })),
  );
/** Starts within 1000 ms, and within 5000 ms: some more before those. */
const startsOf = (count: number, firstMs: number, before: number): Map<number, Starts> =>
  new Map([
    [1000, { count, firstMs }],
    [5000, { count: count + before, firstMs: before === 0 ? firstMs : 6000 }],
  ]);
const takenOf = fc
  .record({
    ...{ k1: fc.nat(2), k2: fc.nat(4), r1: fc.nat(3), r2: fc.nat(6), before: fc.nat(3) },
    ...{ tenant: fc.nat(5), tenantMax: fc.option(fc.integer({ min: 1, max: 8 })) },
  })
  .map(({ k1, k2, r1, r2, before, tenant, tenantMax }) => (): Taken => ({
    keys: new Map([
      ["k1", k1],
      ["k2", k2],
    ]),
    rates: new Map([
      ["r1", startsOf(r1, 9500, before)],
      ["r2", startsOf(r2, 9700, before)],
    ]),
    ...{ tenant, tenantMax, nowMs: 10_000 },
  }));

describe("decideAdmissions", () => {
  it("decides about each once, and exceeds no limit that was not exceeded before", () => {
    fc.assert(
      fc.property(candidates, takenOf, (list, taken) => {
        const after = taken();
        const { admitted, waiting, tenant } = decideAdmissions(list, after);
        const all = [...admitted, ...waiting, ...tenant].sort();
        expect(all).toEqual(list.map(({ runId }) => runId).sort());
        const before = taken();
        for (const [key, count] of after.keys) {
          const was = before.keys.get(key) ?? 0;
          expect(count).toBeLessThanOrEqual(Math.max(was, LIMITS[key] ?? 0));
        }
        // Runs over the shorter time may start while those over the longer one are at their limit.
        for (const [rate, windows] of after.rates) {
          const was = before.rates.get(rate)?.get(1000)?.count ?? 0;
          const { count = 0 } = windows.get(1000) ?? {};
          expect(count).toBeLessThanOrEqual(Math.max(was, LIMITS[rate] ?? 0));
        }
        expect(after.tenant).toBe(before.tenant + admitted.length);
        if (after.tenantMax !== null) {
          expect(after.tenant).toBeLessThanOrEqual(Math.max(before.tenant, after.tenantMax));
        }
      }),
    );
  });

  it("leaves nobody waiting who could go: a second look at the same moment admits nobody", () => {
    fc.assert(
      fc.property(candidates, takenOf, (list, taken) => {
        const after = taken();
        const first = decideAdmissions(list, after);
        const rest = list.filter(({ runId }) => !first.admitted.includes(runId));
        expect(decideAdmissions(rest, after).admitted).toEqual([]);
      }),
    );
  });

  it("of one gate admits in the order of the turns", () => {
    fc.assert(
      fc.property(fc.nat(10), fc.nat(4), (count, held) => {
        const list = Array.from({ length: count }, (_, i) => ({
          ...{ runId: `${i}`, key: "k", keyLimit: 3, rate: null, rateLimit: 0, rateMs: 0 },
        }));
        const taken: Taken = {
          ...{ keys: new Map([["k", held]]), rates: new Map() },
          ...{ tenant: 0, tenantMax: null, nowMs: 0 },
        };
        const { admitted } = decideAdmissions(list, taken);
        expect(admitted).toEqual(list.slice(0, Math.max(0, 3 - held)).map(({ runId }) => runId));
      }),
    );
  });

  it("says when a rate that keeps somebody has its next start", () => {
    const one = { runId: "a", key: null, keyLimit: 0, rate: "r", rateLimit: 1, rateMs: 1000 };
    const rates = new Map([["r", new Map([[1000, { count: 1, firstMs: 400 }]])]]);
    const taken = { keys: new Map(), rates, tenant: 0, tenantMax: null, nowMs: 1000 };
    expect([...decideAdmissions([one], taken).dues]).toEqual([["r", 1400]]);
  });

  it("holds each to the time of its own version, and is due for the first, later than now", () => {
    const of = (runId: string, rateMs: number): Candidate => ({
      ...{ runId, key: null, keyLimit: 0, rate: "r", rateLimit: 2, rateMs },
    });
    const windows = new Map<number, Starts>([
      [1000, { count: 1, firstMs: 9500 }],
      [5000, { count: 2, firstMs: 6000 }],
    ]);
    const taken = { keys: new Map(), rates: new Map([["r", windows]]), tenant: 0, nowMs: 10_000 };
    const list = [of("long", 5000), of("short", 1000), of("another", 1000)];
    const decided = decideAdmissions(list, { ...taken, tenantMax: null });
    expect(decided).toMatchObject({ admitted: ["short"], waiting: ["long", "another"] });
    expect([...decided.dues]).toEqual([["r", 10_500]]);
  });

  it("has nobody looked for at a time that is past", () => {
    fc.assert(
      fc.property(candidates, takenOf, (list, taken) => {
        const { dues } = decideAdmissions(list, taken());
        expect([...dues.values()].filter((due) => due <= 10_000)).toEqual([]);
      }),
    );
  });
});

describe("turnOf", () => {
  it("a run is overtaken by higher priorities for a bounded time only", () => {
    expect(turnOf(1000, "high")).toBeLessThan(turnOf(1000, "normal"));
    expect(turnOf(1001 + TURN_STEP_MS, "high")).toBeGreaterThan(turnOf(1000, "normal"));
    expect(turnOf(1001 + 2 * TURN_STEP_MS, "high")).toBeGreaterThan(turnOf(1000, "low"));
  });
});
