import { describe, expect, it } from "vitest";
import { addCoverage } from "./coverage.ts";
import { givenByMocks } from "./given.ts";
import { NO_MOCKS } from "./mocks.ts";
import { chain, diamond, made, mocksFor, run, step } from "./simulation.fixture.ts";
import { simulate } from "./simulate.ts";
import { coverageLines, traceRows } from "./tell-simulation.ts";

const text = `nodes:
  a: { output: 1, duration_ms: 10 }
  b: { output: 2, duration_ms: 100 }
  c: { output: 3, duration_ms: 30 }
  d: { duration_ms: 5 }`;

describe("virtual time", () => {
  it("is the longest way through the graph", () => {
    const result = run(diamond, text);
    expect(result.ms).toBe(115);
    expect(result.path).toEqual(["a", "c", "b", "d"]);
    expect(result.output).toEqual({ b: 2, c: 3 });
  });

  it("is longer with fewer workers", () => {
    const capacity = { workers: new Map([["default", 1]]) };
    const result = run(diamond, text, {}, { capacity });
    expect(result.ms).toBe(145);
    expect(result.steps.find(({ node }) => node === "c")).toMatchObject({ ready: 10, from: 110 });
  });

  it("counts the back-off of retries and what delays and sleeps say", () => {
    const ir = made(
      [
        step("a", { retry: { max_attempts: 3, backoff_ms: 100, backoff_multiplier: 2 } }),
        { id: "b", type: "delay", config: { duration: "PT1S" } },
        { id: "c", type: "delay", config: { delay_ms: "${input.ms}" } },
        {
          id: "d",
          type: "function",
          config: { function_name: "builtin.sleep", params: { ms: 50, value: "slept" } },
        },
      ],
      chain("a>b>c>d"),
    );
    const failing = "{ error: { code: E, message: m }, attempts: 2, output: 1, duration_ms: 7 }";
    const result = run(ir, `nodes: { a: ${failing} }`, { ms: 20 });
    expect(result).toMatchObject({ status: "COMPLETED", output: "slept" });
    expect(result.ms).toBe(7 + 100 + 7 + 200 + 7 + 1000 + 20 + 50);
  });

  it("goes on to the moment of a delay, from the one that the mocks say is now", () => {
    const until = { id: "a", type: "delay", config: { until: "2026-01-01T00:01:00Z" } };
    expect(run(made([until]), `now: "2026-01-01T00:00:00Z"`).ms).toBe(60_000);
  });

  it("of one step is drawn by the seed, and does not depend on what else is drawn", () => {
    const ir = made([step("a")]);
    const ranged = mocksFor(ir, "nodes: { a: { duration_ms: [100, 200] } }");
    const ms = (seed: number): number => simulate(ir, {}, { mocks: ranged, seed }).ms;
    expect(ms(1)).toBe(ms(1));
    expect(ms(1)).not.toBe(ms(2));
    expect([ms(1), ms(2), ms(3)].every((time) => time >= 100 && time <= 200)).toBe(true);
    const many = made([step("z"), step("a"), step("b")]);
    const all = "nodes: { a: { duration_ms: [100, 200] }, b: { duration_ms: [0, 9] }, z: {} }";
    const a = run(many, all).steps.find(({ node }) => node === "a");
    expect(a?.to).toBe(ms(1));
  });

  it("ends a step at its time limit", () => {
    const ir = made([step("a", { timeout_ms: 50 }), step("b")], [
      { from: "a", to: "b", on: "timeout" },
    ] as never);
    const result = run(ir, "nodes: { a: { duration: 80 }, b: { output: late } }");
    expect(result).toMatchObject({ status: "COMPLETED", output: "late", ms: 50 });
  });

  it("goes on in the elements of maps at the same time, as many as the map lets", () => {
    const map = (most: number) =>
      made([
        {
          id: "m",
          type: "map",
          config: { items: "${[1, 2, 3, 4]}", max_concurrency: most, do: step("in") },
        },
      ] as never);
    const mocks = 'nodes: { in: { output: "${item * 10}", duration: 100 } }';
    expect(run(map(4), mocks)).toMatchObject({ ms: 100, output: [10, 20, 30, 40] });
    expect(run(map(2), mocks).ms).toBe(200);
  });
});

describe("the trace", () => {
  const ir = made(
    [
      step("a", { retry: { max_attempts: 2, backoff_ms: 100 } }),
      { id: "q", type: "conditional" },
      step("big"),
      step("small"),
      { id: "end", type: "parallel" },
    ],
    [
      { from: "a", to: "q" },
      { from: "q", to: "big", condition: "output.n > 5" },
      { from: "q", to: "small" },
      ...chain("big>end", "small>end"),
    ],
  );
  const mocks = `nodes:
  a: { error: { code: BUSY, message: later }, attempts: 1, output: { n: 7 }, duration: 10 }
  big: { duration: 40 }
  small: {}`;

  it("says what happened when, and which edges were taken for which reason", () => {
    const result = run(ir, mocks);
    expect(traceRows(ir, result).map((row) => row.join(" | "))).toEqual([
      "0..10 ms | a | failed: BUSY later; attempt 2 follows",
      "110..120 ms | a | completed at attempt 2 -> q",
      "120 ms | q | completed -> big if output.n > 5, not small",
      "120 ms | small | skipped",
      "120..160 ms | big | completed -> end",
      "160 ms | end | join fired (live dead)",
      "160 ms | end | completed",
    ]);
  });

  it("has what it says for programs too: edges by target with what they brought", () => {
    const { trace } = run(ir, mocks);
    const left = trace.find(({ event, node }) => event === "node.completed" && node === "q");
    expect(left?.edges).toEqual([
      { to: "big", value: "live" },
      { to: "small", value: "dead" },
    ]);
  });
});

describe("coverage", () => {
  const ir = made(
    [{ id: "q", type: "conditional" }, step("x"), step("y"), step("z")],
    [
      { from: "q", to: "x", condition: "output.n > 10" },
      { from: "q", to: "y", condition: "output.n > 5" },
      { from: "q", to: "z" },
    ],
  );
  const mocks = "nodes: { x: {}, y: {}, z: {} }";
  const rules = (n: number) =>
    run(ir, mocks, { n }).coverage.rules.map(({ to, held, failed }) => [to, held, failed]);

  it("counts for each rule whether it held, or was asked and did not", () => {
    expect(rules(20)).toEqual([
      ["x", 1, 0],
      ["y", 0, 0],
      ["z", 0, 1],
    ]);
    expect(rules(7)).toEqual([
      ["x", 0, 1],
      ["y", 1, 0],
      ["z", 0, 1],
    ]);
    expect(rules(1)).toEqual([
      ["x", 0, 1],
      ["y", 0, 1],
      ["z", 1, 0],
    ]);
  });

  it("adds up over runs, and names the gaps", () => {
    const two = addCoverage([20, 7].map((n) => run(ir, mocks, { n }).coverage));
    expect(two.edges.map(({ to, taken }) => [to, taken])).toEqual([
      ["x", 1],
      ["y", 1],
      ["z", 0],
    ]);
    expect(coverageLines(two)).toEqual([
      "covered   3 of 4 nodes, 2 of 3 edges, 4 of 6 sides of rules",
      "  not run: z",
      "  not taken: q -> z",
      "  always held: q -> y if output.n > 5",
    ]);
  });

  it("has the ways of loops, those inside others too", () => {
    const loop = (id: string, to: string, rounds: number, more = {}) => ({
      ...{ id, type: "loop" },
      config: {
        ...{ loop_back_to: to, condition: `iteration < ${rounds}`, max_iterations: 3, ...more },
      },
    });
    const nested = made(
      [step("a"), loop("inner", "a", 2), loop("outer", "a", 3), step("end")],
      chain("a>inner>outer>end"),
    );
    const calm = run(nested, "nodes: { a: {}, end: {} }").coverage.loops;
    expect(calm).toEqual([
      { latch: "outer", head: "a", map: "", again: 2, left: 1, exhausted: 0 },
      { latch: "inner", head: "a", map: "", again: 3, left: 3, exhausted: 0 },
    ]);
    const endless = made([step("a"), loop("l", "a", 9), step("b")], chain("a>l>b"));
    expect(run(endless, "nodes: { a: {}, b: {} }").coverage.loops).toEqual([
      { latch: "l", head: "a", map: "", again: 2, left: 0, exhausted: 1 },
    ]);
    const handled = made(
      [
        step("a"),
        loop("l", "a", 9, { timeout_path: ["c"], break_path: ["b"] }),
        step("b"),
        step("c"),
      ],
      chain("a>l"),
    );
    const used = run(handled, "nodes: { a: {}, b: {}, c: {} }");
    expect(used.status).toBe("COMPLETED");
    expect(used.coverage.loops).toMatchObject([{ again: 2, left: 0, exhausted: 1 }]);
  });

  it("has the bodies of maps, with their rules", () => {
    const body = {
      nodes: [{ id: "q", type: "conditional" }, step("x"), step("y")],
      edges: [
        { from: "q", to: "x", condition: "output > 1" },
        { from: "q", to: "y" },
      ],
    };
    const map = { id: "m", type: "map", config: { items: "${input.items}", do: body } };
    const ir = made([map] as never);
    const { coverage } = run(ir, "nodes: { x: {}, y: {} }", { items: [1, 2, 3] });
    expect(coverage.maps).toEqual([{ map: "m", expanded: 1, elements: 3, empty: 0 }]);
    expect(coverage.edges.filter(({ map }) => map === "m").map(({ taken }) => taken)).toEqual([
      2, 1,
    ]);
    expect(coverage.rules).toMatchObject([
      { node: "q", to: "x", map: "m", held: 2, failed: 1 },
      { node: "q", to: "y", map: "m", held: 1, failed: 2 },
    ]);
    const empty = run(ir, "nodes: { x: {}, y: {} }", { items: [] }).coverage;
    expect(empty.maps).toEqual([{ map: "m", expanded: 1, elements: 0, empty: 1 }]);
    expect(coverageLines(empty)).toContain("  no element: m");
  });
});

describe("a start in the middle", () => {
  it("takes from the mocks what nodes that do not run would have put out", () => {
    const mocks = mocksFor(diamond, text);
    const given = givenByMocks(diamond, "b", mocks);
    expect(given).toEqual({ a: 1, c: 3 });
    const start = { at: ["b"], inputs: { b: 0 } };
    const begun = { ...start, outputs: given };
    const result = simulate(diamond, {}, { mocks, seed: 1, start: begun });
    expect(result).toMatchObject({ status: "COMPLETED", ms: 105, output: { b: 2, c: 3 } });
    expect(result.path).toEqual(["b", "d"]);
    expect(() => simulate(diamond, {}, { mocks, seed: 1, start })).toThrow('"d" waits for "c"');
    expect(givenByMocks(diamond, "b", NO_MOCKS)).toEqual({});
  });
});
