import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compile, type Ir, type Json } from "../../compiler/index.ts";
import { junit, readTestFile, runCase } from "./cases.ts";
import { skeleton, unmocked } from "./handlers.ts";
import { NO_MOCKS, readMocks, type Mocks } from "./mocks.ts";
import { interleave, simulate } from "./simulate.ts";

function made(nodes: object[], edges: object[], more: object = {}): Ir {
  const { ir, diagnostics } = compile({ document: { name: "t", nodes, edges, ...more } as never });
  if (ir === null) throw new Error(JSON.stringify(diagnostics));
  return ir;
}

const step = (id: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: `do.${id}` } },
  ...more,
});
const ids = ["a", "b", "c", "d"];
const mocks = (text: string): Mocks => readMocks(text, "mocks.yaml", ids);
const run = (ir: Ir, text: string, input: Json = {}) =>
  simulate(ir, input, { mocks: mocks(text), seed: 1 });

const diamond = made(
  ids.map((id) => step(id)),
  [
    { from: "a", to: "b" },
    { from: "a", to: "c" },
    { from: "b", to: "d" },
    { from: "c", to: "d" },
  ],
);

describe("virtual time", () => {
  const text = `nodes:
  a: { output: 1, duration_ms: 10 }
  b: { output: 2, duration_ms: 100 }
  c: { output: 3, duration_ms: 30 }
  d: { duration_ms: 5 }`;

  it("is the longest way through the graph", () => {
    const result = run(diamond, text);
    expect(result.ms).toBe(115);
    expect(result.path).toEqual(["a", "c", "b", "d"]);
    expect(result.output).toEqual({ b: 2, c: 3 });
  });

  it("counts the back-off of retries and what a delay says", () => {
    const ir = made(
      [
        step("a", { retry: { max_attempts: 3, backoff_ms: 100, backoff_multiplier: 2 } }),
        { id: "b", type: "delay", config: { delay_ms: 1000 } },
      ],
      [{ from: "a", to: "b" }],
    );
    const failing = "{ error: { code: E, message: m }, attempts: 2, output: 1, duration_ms: 7 }";
    const result = run(ir, `nodes: { a: ${failing} }`);
    expect(result.status).toBe("COMPLETED");
    expect(result.ms).toBe(7 + 100 + 7 + 200 + 7 + 1000);
  });

  it("draws ranges by the seed", () => {
    const ir = made([step("a")], []);
    const ranged = mocks("nodes: { a: { duration_ms: [100, 200] } }");
    const ms = (seed: number): number => simulate(ir, {}, { mocks: ranged, seed }).ms;
    expect(ms(1)).toBe(ms(1));
    expect(ms(1)).not.toBe(ms(2));
    expect([ms(1), ms(2), ms(3)].every((time) => time >= 100 && time <= 200)).toBe(true);
  });
});

describe("mocks", () => {
  it("are asked for where a step reaches outside, and only there", () => {
    const ir = made([step("a"), { id: "b", type: "parallel" }], [{ from: "a", to: "b" }]);
    expect(unmocked(ir, NO_MOCKS)).toEqual([{ id: "a", calls: "do.a" }]);
    expect(unmocked(ir, mocks("functions: { do.a: { output: 1 } }"))).toEqual([]);
    expect(mocks(skeleton([{ id: "a", calls: "do.a" }])).nodes.get("a")).toEqual({ output: {} });
  });

  it("that are wrong are named all at once, with their places", () => {
    expect(() => mocks("nodes:\n  a: { outptu: 1 }\n  x: {}\nsignal: []")).toThrow(
      [
        "mocks.yaml:4:9 /signal: `signal` means nothing here; did you mean signals?",
        "mocks.yaml:3:6 /nodes/x: `x` means nothing here; there is: a, b, c, d",
        "mocks.yaml:2:16 /nodes/a/outptu: `outptu` means nothing here; did you mean output?",
      ].join("\n"),
    );
  });

  it("time out, answer approvals and signals", () => {
    const ir = made(
      [
        { id: "a", type: "wait", config: { signal: "paid" } },
        { id: "b", type: "human", config: { title: "ok?" } },
      ],
      [{ from: "a", to: "b" }],
    );
    const text = `signals: [{ name: paid, value: 5 }]
decisions: [{ node: b, by: anna, approved: false, at_ms: 10 }]`;
    const result = run(ir, text);
    expect(result.status).toBe("COMPLETED");
    expect(result.output).toMatchObject({ approved: false, by: "anna" });
    const timed = made([step("a")], []);
    expect(run(timed, "nodes: { a: { timeout: true } }").error?.code).toBe("TIMEOUT");
  });
});

describe("interleavings", () => {
  const race = made(
    [step("a"), step("b"), step("c"), step("d", { join: "any" })],
    [
      { from: "a", to: "b" },
      { from: "a", to: "c" },
      { from: "b", to: "d" },
      { from: "c", to: "d" },
    ],
  );
  const text = "nodes: { a: { output: 0 }, b: { output: 1 }, c: { output: 2 }, d: {} }";

  it("of an `all` join end the same, of an `any` join they need not", () => {
    const options = { mocks: mocks(text), seed: 1 };
    const calm = interleave(diamond, {}, options, "all");
    expect(calm).toMatchObject({ isComplete: true, tried: 2 });
    expect(calm.outcomes.length).toBe(1);
    const racing = interleave(race, {}, options, "all");
    expect(racing.isComplete).toBe(true);
    expect(racing.outcomes.map(({ output }) => output)).toEqual([{ b: 1 }, { c: 2 }]);
    expect(interleave(race, {}, options, 20).outcomes.length).toBe(2);
  });
});

describe("test files", () => {
  const text = `workflow: t.json
mocks: { nodes: { a: { output: 1 }, b: { output: 2 }, c: { output: 3 } } }
cases:
  - name: good
    expect: { output: { b: 2, c: 9 }, path: [a, b, d] }
    mocks: { nodes: { c: { output: 9 }, d: {} } }
  - { name: bad, expect: { status: FAILED, nodes: { d: skipped } }, mocks: { nodes: { d: {} } } }
`;

  it("say which case differs, and how", () => {
    const results = readTestFile(text, "t.test.yaml")
      .cases(ids)
      .map((one) => runCase(diamond, one));
    expect(results.map(({ passed }) => passed)).toEqual([true, false]);
    expect(results[1]?.differences).toEqual([
      'status: expected "FAILED", found "COMPLETED"',
      'node d: expected "skipped", found "completed"',
    ]);
    const xml = junit([{ file: "t.test.yaml", results }]);
    expect(xml).toContain('tests="2" failures="1"');
    expect(xml).toContain("expected &quot;FAILED&quot;");
  });

  it("that are wrong are refused with the place", () => {
    expect(() => readTestFile("workflow: x\ncases: [{ expects: {} }]", "f").cases([])).toThrow(
      "f: /cases/0: `expects` means nothing; there is name, input, mocks, expect",
    );
    expect(() => readTestFile("cases: []", "f")).toThrow("`workflow` must name a workflow file");
  });

  it("of the examples pass", () => {
    const data = new URL("../../test_data/cases/", import.meta.url);
    const read = (name: string): string => readFileSync(new URL(name, data), "utf8");
    const file = readTestFile(read("branch_merge.test.yaml"), "branch_merge.test.yaml");
    const { ir } = compile({ text: read(file.workflow), file: file.workflow });
    const results = file
      .cases(ir?.nodes.map(({ id }) => id) ?? [])
      .map((one) => runCase(ir as Ir, one));
    expect(results.flatMap(({ differences }) => differences)).toEqual([]);
  });
});
