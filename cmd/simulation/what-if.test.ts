import { describe, expect, it } from "vitest";
import { compile, type Ir } from "../../compiler/index.ts";
import { durationAt, probit, type Duration } from "./durations.ts";
import { readLimits, readWorkers } from "./limits.ts";
import { spreadOf } from "./measures.ts";
import { mocksOf, type Mocks } from "./mocks.ts";
import { whatIf, type Arrivals, type WhatIf } from "./what-if.ts";

function made(nodes: object[], edges: object[] = [], more: object = {}): Ir {
  const { ir, diagnostics } = compile({ document: { name: "t", nodes, edges, ...more } as never });
  if (ir === null) throw new Error(JSON.stringify(diagnostics));
  return ir;
}

const step = (id: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: `do.${id}` } },
  ...more,
});

const taking = (durations: { [node: string]: Duration }): Mocks =>
  mocksOf({
    nodes: Object.fromEntries(
      Object.entries(durations).map(([id, duration]) => [id, { output: 0, duration }]),
    ) as never,
  });

const atOnce = (runs: number): Arrivals => ({ runs, everyMs: 0, isRandom: false });
const evenly = (runs: number, everyMs: number): Arrivals => ({ runs, everyMs, isRandom: false });
const poisson = (runs: number, everyMs: number): Arrivals => ({ runs, everyMs, isRandom: true });

function play(ir: Ir, mocks: Mocks, arrivals: Arrivals, workers?: string, limits: string[] = []) {
  const ids = ir.nodes.map(({ id }) => id);
  const capacity = {
    ...(workers === undefined ? {} : { workers: readWorkers(workers, ir.queues) }),
    limits: readLimits(limits, ids, ir.queues),
  };
  return whatIf(ir, {}, { mocks, seed: 7, capacity }, arrivals);
}

const one = made([step("a")]);
const waitOf = (report: WhatIf): number => report.pools[0]?.wait_ms.mean ?? Number.NaN;

describe("queues of known theory", () => {
  it("D/D/1 waits exactly as long as work is behind", () => {
    const calm = play(one, taking({ a: 80 }), evenly(100, 100), "1");
    expect(calm.latency_ms).toEqual({ mean: 80, p50: 80, p95: 80, p99: 80, max: 80 });
    expect(calm.makespan_ms).toBe(99 * 100 + 80);
    expect(calm.pools[0]?.utilisation).toBeCloseTo((100 * 80) / (99 * 100 + 80), 12);
    // Each run comes 20 ms before the worker is through with the one before: waits of 0, 20, 40 …
    const late = play(one, taking({ a: 120 }), evenly(100, 100), "1");
    expect(late.pools[0]?.wait_ms).toMatchObject({ mean: 990, max: 1980 });
    expect(late.latency_ms.max).toBe(1980 + 120);
  });

  it("M/M/1 waits ρ/(1-ρ) service times on average", () => {
    const rho = 0.5;
    const report = play(
      one,
      taking({ a: { exponential: { mean: 100 } } }),
      poisson(20_000, 200),
      "1",
    );
    const expected = (rho / (1 - rho)) * 100;
    expect(waitOf(report)).toBeGreaterThan(expected * 0.93);
    expect(waitOf(report)).toBeLessThan(expected * 1.07);
    expect(report.pools[0]?.utilisation).toBeCloseTo(rho, 1);
  });

  it("M/M/c waits as Erlang C says", () => {
    const [c, rho] = [3, 0.7];
    const report = play(
      one,
      taking({ a: { exponential: { mean: 100 } } }),
      poisson(20_000, 100 / (c * rho)),
      String(c),
    );
    const expected = (erlangC(c, c * rho) * 100) / (c * (1 - rho));
    expect(waitOf(report)).toBeGreaterThan(expected * 0.9);
    expect(waitOf(report)).toBeLessThan(expected * 1.1);
  });
});

/** The share of customers that wait at all, with `load` = arrivals times service time. */
function erlangC(servers: number, load: number): number {
  let term = 1;
  let sum = 0;
  for (let k = 0; k < servers; k++) {
    sum += term;
    term = (term * load) / (k + 1);
  }
  const all = (term * servers) / (servers - load);
  return all / (sum + all);
}

describe("runs that are known beforehand", () => {
  const ids = ["a", "b", "c"];
  const chain = made(
    ids.map((id) => step(id)),
    [
      { from: "a", to: "b" },
      { from: "b", to: "c" },
    ],
  );

  it("a chain of constants takes their sum, on one worker too", () => {
    const mocks = taking({ a: 10, b: 20, c: 30 });
    expect(play(chain, mocks, atOnce(1)).makespan_ms).toBe(60);
    expect(play(chain, mocks, atOnce(1), "1").makespan_ms).toBe(60);
    expect(play(chain, mocks, atOnce(5), "1").makespan_ms).toBe(5 * 60);
  });

  it.each([
    [12, 5, 3],
    [12, 4, 3],
    [7, 1, 7],
    [3, 8, 1],
  ])("a fan of %i equal steps on %i workers takes %i of their times", (k, workers, rounds) => {
    const fan = made(Array.from({ length: k }, (_, i) => step(`n${i}`)));
    const mocks = taking(Object.fromEntries(fan.nodes.map(({ id }) => [id, 50])));
    const report = play(fan, mocks, atOnce(1), String(workers));
    expect(report.makespan_ms).toBe(rounds * 50);
    expect(rounds).toBe(Math.ceil(k / workers));
  });

  it("n starts at r a second take (n-1)/r, and hold no worker while they wait", () => {
    const limited = made([step("a", { rate_limit: { per_second: 4 } })]);
    const own = play(limited, taking({ a: 0 }), atOnce(21), "1");
    expect(own.makespan_ms).toBe(20 * 250);
    expect(own.pools[0]?.busy_ms).toBe(0);
    expect(own.bottleneck).toMatchObject({ kind: "limit", name: "a" });
    expect(play(one, taking({ a: 0 }), atOnce(21), "1", ["a=8/s"]).makespan_ms).toBe(20 * 125);
    expect(play(one, taking({ a: 0 }), atOnce(21), "1", ["queue:fn:do.a=2/s"]).makespan_ms).toBe(
      20 * 500,
    );
  });

  it("at most n of a node at one time, others go past it", () => {
    const two = made([step("a"), step("b")]);
    const report = play(two, taking({ a: 100, b: 10 }), atOnce(10), "4", ["a=2"]);
    // Five rounds of `a`, two at a time; `b` is done on the two workers that are left.
    expect(report.makespan_ms).toBe(5 * 100);
    const b = report.nodes.find(({ node }) => node === "b");
    expect(b?.wait_ms.max).toBeLessThan(100);
    expect(report.bottleneck).toMatchObject({ kind: "limit", name: "a" });
  });

  it("a straight chain of one queue goes on with the worker that it has", () => {
    const queued = ["a", "b"].map((id) => step(id, { queue: "q" }));
    const straight = made(queued, [{ from: "a", to: "b" }]);
    const report = play(straight, taking({ a: 10, b: 10 }), atOnce(3), "1");
    expect(report.latency_ms).toMatchObject({ p50: 40, max: 60, mean: (20 + 40 + 60) / 3 });
    // Without a chain the worker looks at its queues again: runs on their way before new ones.
    const apart = made([step("a"), step("b")], [{ from: "a", to: "b" }]);
    const turns = play(apart, taking({ a: 10, b: 10 }), atOnce(3), "1");
    expect(turns.latency_ms).toMatchObject({ p50: 40, max: 60, mean: (20 + 40 + 60) / 3 });
    // Workers for each: all first steps are through when the first second one is.
    const each = play(apart, taking({ a: 10, b: 40 }), atOnce(3), "fn:do.a=1,fn:do.b=1");
    expect(each.latency_ms).toMatchObject({ p50: 90, max: 130 });
    // After so long it goes back to the queue, like any step of a run on its way.
    const long = play(straight, taking({ a: 300, b: 10 }), atOnce(3), "1");
    expect(long.latency_ms).toMatchObject({ p50: 620, max: 930 });
  });

  it("queues have workers of their own", () => {
    const ir = made([step("a"), step("b", { queue: "gpu" })], [{ from: "a", to: "b" }]);
    const report = play(ir, taking({ a: 10, b: 100 }), atOnce(10), "default=10,gpu=2");
    expect(report.makespan_ms).toBe(10 + 5 * 100);
    expect(report.bottleneck).toMatchObject({ kind: "workers", name: "gpu" });
    expect(report.bottleneck.text).toContain("its 2 workers are busy 98 %");
    const enough = play(ir, taking({ a: 10, b: 100 }), atOnce(10));
    expect(enough.bottleneck).toMatchObject({ kind: "work", name: "b" });
  });

  it("who waits too long for a worker, or works too long, fails by its time limit", () => {
    const late = made([step("a", { queue_timeout_ms: 150 })]);
    const report = play(late, taking({ a: 100 }), atOnce(3), "1");
    expect(report.statuses).toEqual({ COMPLETED: 2, FAILED: 1 });
    // The second and the third wait for their start, then the third once more for a worker.
    const rate = { queue_timeout_ms: 150, rate_limit: { key: "", limit: 1, per_ms: 100 } };
    const limited = play(made([step("a", rate)]), taking({ a: 500 }), atOnce(3), "2");
    expect(limited).toMatchObject({ statuses: { COMPLETED: 2, FAILED: 1 }, makespan_ms: 600 });
    const long = play(made([step("a", { timeout_ms: 30 })]), taking({ a: 100 }), atOnce(1));
    expect(long).toMatchObject({ statuses: { FAILED: 1 }, makespan_ms: 30 });
  });

  it("runs wait for a place, or are rejected, as the workflow's limits say", () => {
    const taken = taking({ a: 100 });
    expect(play(one, taken, atOnce(6), undefined, ["runs=2"])).toMatchObject({
      ...{ makespan_ms: 300, bottleneck: { kind: "limit", name: "runs" } },
    });
    const limited = (concurrency: object) => made([step("a")], [], { settings: { concurrency } });
    expect(play(limited({ limit: 3 }), taken, atOnce(6)).makespan_ms).toBe(200);
    const own = limited({ limit: 1, key: "${run.id}" });
    expect(play(own, taken, atOnce(6)).makespan_ms).toBe(100);
    const rejecting = limited({ limit: 2, on_conflict: "reject" });
    expect(play(rejecting, taken, atOnce(6)).statuses).toEqual({ COMPLETED: 2, REJECTED: 4 });
  });

  it("no window of a rate of runs has more starts than its limit", () => {
    const report = play(one, taking({ a: 0 }), atOnce(12), undefined, ["runs=5/s"]);
    expect(report.makespan_ms).toBe(2000);
    const settings = { rate_limit: { limit: 5, per_ms: 1000 } };
    const own = play(made([step("a")], [], { settings }), taking({ a: 0 }), evenly(12, 150));
    // Starts at 0 to 600, then as each of those five falls out of its window.
    expect(own.latency_ms.max).toBe(2000 - 10 * 150);
  });

  it("delays and pure steps hold no worker", () => {
    const ir = made(
      [
        { id: "d", type: "delay", config: { duration: "PT1S" } },
        { id: "p", type: "parallel" },
      ],
      [{ from: "d", to: "p" }],
    );
    expect(play(ir, mocksOf({}), atOnce(50), "1")).toMatchObject({ makespan_ms: 1000, pools: [] });
  });

  it("a run that waits for somebody who never comes is told", () => {
    const ir = made([{ id: "w", type: "wait", config: { signal: "go" } }]);
    expect(play(ir, mocksOf({}), atOnce(3)).statuses).toEqual({ WAITING: 3 });
    const told = mocksOf({ signals: [{ name: "go", at_ms: 40 }] });
    expect(play(ir, told, evenly(3, 100)).latency_ms.max).toBe(40);
  });

  it("failures by chance are as many as their probability says, and the same for the same seed", () => {
    const ir = made([step("a")]);
    const mocks = mocksOf({ nodes: { a: { error: { code: "E" }, probability: 0.2 } } });
    const report = play(ir, mocks, atOnce(5000), "1");
    expect((report.statuses["FAILED"] ?? 0) / 5000).toBeCloseTo(0.2, 1);
    expect(play(ir, mocks, atOnce(5000), "9").statuses).toEqual(report.statuses);
  });
});

describe("durations", () => {
  const draws = Array.from({ length: 20_000 }, (_, i) => (i + 0.5) / 20_000);
  const spread = (duration: Duration) => spreadOf(draws.map((u) => durationAt(duration, u)));

  it.each([
    ["constant", { constant: 70 }, 70],
    ["uniform", { uniform: { min: 20, max: 60 } }, 40],
    ["a pair", [20, 60], 40],
    ["normal", { normal: { mean: 100, sd: 10 } }, 100],
    ["lognormal", { lognormal: { mean: 100, sd: 50 } }, 100],
    ["exponential", { exponential: { mean: 30 } }, 30],
  ] as [string, Duration, number][])("%s has the mean that it says", (_, duration, mean) => {
    expect(spread(duration).mean / mean).toBeCloseTo(1, 2);
  });

  it("percentiles are met exactly, whatever is between them", () => {
    const measured = { percentiles: { p50: 80, p95: 200, p99: 900 } };
    const bounded = { percentiles: { ...measured.percentiles, min: 70, max: 1000 } };
    expect(spread(bounded).max).toBe(1000);
    expect(durationAt(bounded, 0.001)).toBe(70);
    const { p50, p95, p99 } = spread(measured);
    expect(durationAt(measured, 0.95)).toBeCloseTo(200, 6);
    expect([p50 / 80, p95 / 200, p99 / 900].map((ratio) => ratio.toFixed(2))).toEqual([
      ...["1.00", "1.00", "1.00"],
    ]);
  });

  it("are never below 0, and longer for a larger draw", () => {
    const wild: Duration = { normal: { mean: 1, sd: 100 } };
    const values = draws.map((u) => durationAt(wild, u));
    expect(Math.min(...values)).toBe(0);
    expect(values).toEqual([...values].sort((a, b) => a - b));
    expect(probit(0.975)).toBeCloseTo(1.959964, 5);
  });
});

describe("the words of what-if", () => {
  it("are refused with what was probably meant", () => {
    expect(() => readWorkers("gpp=2", ["gpu", "default"])).toThrow("did you mean gpu?");
    expect(() => readWorkers("many", [])).toThrow("--workers many: give a number from 1");
    expect(() => readLimits(["chrge=3"], ["charge"], [])).toThrow("did you mean charge?");
    expect(() => readLimits(["charge=fast"], ["charge"], [])).toThrow("give NODE=N, NODE=N/s");
    expect(() => readLimits(["queue:x=3/s"], [], ["default"])).toThrow("there is default");
  });
});
