import { describe, expect, it } from "vitest";
import { renderDiagnostics } from "../../compiler/report.ts";
import { namesIn } from "./load.ts";
import { MockBook, skeleton } from "./mock-book.ts";
import { NO_MOCKS, readMocks } from "./mocks.ts";
import { chain, diamond, made, mocksFor, problemsOf, run, step } from "./simulation.fixture.ts";
import { childRows } from "./tell-simulation.ts";

describe("mocks", () => {
  const ir = made([step("a"), { id: "b", type: "parallel" }], chain("a>b"));

  it("are asked for where a step reaches outside, and only there", () => {
    const missing = new MockBook(ir, NO_MOCKS).missing();
    expect(missing).toEqual([{ id: "a", calls: "do.a", isWorkflow: false }]);
    const byFunction = mocksFor(ir, "functions: { do.a: { output: 1 } }");
    expect(new MockBook(ir, byFunction).missing()).toEqual([]);
    expect(mocksFor(ir, skeleton(missing)).nodes.get("a")).toEqual({ output: {} });
  });

  it("that are wrong are named all at once, with their places and what was meant", () => {
    const text = "nodes:\n  a: { outptu: 1 }\n  x: {}\nsignal: []\n";
    expect(problemsOf(diamond, text)).toEqual([
      "2:8 unknown property `outptu` (did you mean `output`?)",
      "4:1 unknown property `signal` (did you mean `signals`?)",
    ]);
    expect(problemsOf(diamond, "nodes:\n  aa: {}\n")).toEqual([
      "2:3 there is no node `aa` (did you mean `a`?)",
    ]);
  });

  it("that are wrong are shown as the compiler shows a workflow", () => {
    const text = "nodes:\n  a: { duration: { normal: { mean: -5, sd: 1 } } }\n";
    const { diagnostics } = readMocks(text, "mocks.yaml", namesIn(diamond));
    expect(renderDiagnostics(diagnostics, text)).toBe(
      [
        "error[GV1013]: `mean` must be milliseconds, 0 or more, not -5",
        "   --> mocks.yaml:2:36",
        "    |",
        "  2 |   a: { duration: { normal: { mean: -5, sd: 1 } } }",
        "    |                                    ^^",
        "    = help: replace the value, or leave the property out to have its default",
      ].join("\n"),
    );
  });

  it.each([
    ["duration: [9, 3]", "the longest comes after the shortest"],
    ["duration: { percentiles: { p50: 9, p99: 3 } }", "a higher percentile is not shorter"],
    ["duration: { gauss: { mean: 1 } }", "unknown property `gauss`"],
    ["duration: fast", "`duration` must be a number of milliseconds, a pair of them, or"],
    ["probability: 0.5", "`probability` says when it fails: it goes with `error` or `timeout`"],
    ["duration: 1, duration_ms: 2", "are the same: give one"],
    ["output: '${1 +}'", "/"],
  ])("a mock with { %s } is refused", (mock, message) => {
    const [first = ""] = problemsOf(diamond, `nodes: { a: { ${mock} } }`);
    expect(first).toContain(message === "/" ? "" : message);
    expect(first).not.toBe("");
  });

  it("answer with what they see of the step", () => {
    const ir = made([step("a"), step("b")], chain("a>b"));
    const text = `nodes:
  a: { output: { double: "\${input.n * 2}" } }
  b: { output: "\${data.double} is it" }`;
    expect(run(ir, text, { n: 4 }).output).toBe("8 is it");
    const wrong = run(ir, `nodes: { a: { output: "\${input.none}" }, b: {} }`);
    expect(wrong.error).toMatchObject({ code: "BAD_MOCK", node: "a" });
  });

  it("fail as often as they say, with what they say", () => {
    const ir = made([step("a", { retry: { max_attempts: 5, backoff_ms: 1 } })]);
    const error = "{ code: HTTP_503, message: busy, details: { server: x } }";
    const failing = (more: string) => run(ir, `nodes: { a: { error: ${error}${more} } }`);
    expect(failing("").error).toMatchObject({ code: "HTTP_503", attempts: 5 });
    expect(failing(", attempts: 2").nodes["a"]).toMatchObject({ status: "completed", attempts: 3 });
    const final = "nodes: { a: { error: { code: E, retryable: false } } }";
    expect(run(ir, final).nodes["a"]?.attempts).toBe(1);
    expect(run(ir, "nodes: { a: { timeout: true } }").error?.code).toBe("TIMEOUT");
  });

  it("that do not fit the schemas of their node fail it, as its own answer would", () => {
    const schemas = { input_schema: { type: "object" }, output_schema: { required: ["sum"] } };
    const ir = made([step("a", schemas)]);
    expect(run(ir, "nodes: { a: { output: { sum: 1 } } }").status).toBe("COMPLETED");
    expect(run(ir, "nodes: { a: { output: { total: 1 } } }").error).toMatchObject({
      ...{ code: "BAD_OUTPUT", message: expect.stringContaining("sum") },
    });
    expect(run(ir, "nodes: { a: { output: { sum: 1 } } }", 5).error?.code).toBe("BAD_INPUT");
  });

  it("that only take time leave a built-in function its own answer", () => {
    const add = { function_name: "builtin.add", params: { a: 1, b: 2 } };
    const ir = made([{ id: "a", type: "function", config: add }]);
    expect(run(ir, "nodes: { a: { duration: 30 } }")).toMatchObject({
      ...{ ms: 30, output: { sum: 3 } },
    });
  });
});

describe("people and other programs", () => {
  const ir = made(
    [
      { id: "w", type: "wait", config: { signal: "paid" } },
      { id: "h", type: "human", config: { title: "ok?" } },
    ],
    chain("w>h"),
  );

  it("come at their times, or so long after they are asked", () => {
    const at = "signals: [{ name: paid, value: 5, at_ms: 40 }]\n";
    const asked = `${at}decisions: [{ node: h, by: ann, approved: false, after_ms: 25 }]`;
    expect(run(ir, asked)).toMatchObject({ ms: 65, output: { approved: false, by: "ann" } });
    const fixed = `${at}decisions: [{ node: h, by: ann, at_ms: 100 }]`;
    expect(run(ir, fixed)).toMatchObject({ ms: 100, output: { approved: true, by: "ann" } });
  });

  it("who come before anybody asks are lost if they are people, and kept if they are signals", () => {
    const early = "signals: [{ name: paid }]\ndecisions: [{ node: h, at_ms: 0 }]";
    const late = "signals: [{ name: paid, at_ms: 9 }]\ndecisions: [{ node: h, at_ms: 3 }]";
    expect(run(ir, "signals: [{ name: paid }]\ndecisions: [{ node: h }]").ms).toBe(0);
    expect(run(ir, early).nodes["w"]?.status).toBe("completed");
    expect(run(ir, late)).toMatchObject({ status: "WAITING", nodes: { h: { status: "waiting" } } });
  });

  it("can be stood for by a mock of the node", () => {
    const text = "nodes: { w: { output: 1, duration: 70 }, h: { output: { approved: true } } }";
    expect(run(ir, text)).toMatchObject({ ms: 70, output: { approved: true } });
  });

  it("are refused where nobody asks them", () => {
    expect(problemsOf(ir, "decisions: [{ node: w }]")).toEqual(["1:21 there is no human node `w`"]);
    expect(problemsOf(ir, "signals: [{ name: paid, child: sub }]")[0]).toContain(
      "there is no subworkflow node `sub`",
    );
  });
});

describe("child workflows", () => {
  const child = made(
    [step("inner"), { id: "w", type: "wait", config: { signal: "go" } }],
    [...chain("inner>w")],
  );
  const ir = made([
    { id: "sub", type: "subworkflow", config: { workflow: "child@2", input: { n: 3 } } },
  ]);

  it("are asked for by name and version", () => {
    const missing = new MockBook(ir, NO_MOCKS).missing();
    expect(missing).toEqual([{ id: "sub", calls: "child@2", isWorkflow: true }]);
    expect(skeleton(missing)).toBe('workflows:\n  "child@2": { output: {} }   # sub');
  });

  it("answer by a mock of that version, or of the name", () => {
    const exact = "workflows: { child@2: { output: two, duration: 30 }, child: { output: any } }";
    expect(run(ir, exact)).toMatchObject({ output: "two", ms: 30 });
    expect(run(ir, "workflows: { child: { output: any } }").output).toBe("any");
    const failing = "workflows: { child: { error: { code: E, retryable: false } } }";
    expect(run(ir, failing).error?.code).toBe("E");
  });

  it("are simulated from their file, with mocks and signals of their own", () => {
    const text = `workflows:
  child: { file: child.yaml, nodes: { inner: { output: "\${data.n}", duration: 20 } } }
signals: [{ name: go, value: went, at_ms: 50, child: sub }]`;
    const result = run(ir, text, {}, { files: new Map([["child", child]]) });
    expect(result).toMatchObject({ status: "COMPLETED", output: "went", ms: 50 });
    expect(result.steps.map(({ run, node }) => `${run} ${node}`)).toContain("simulated.sub inner");
    expect(childRows(result)).toEqual([
      ["0..20 ms", "sub", "inner"],
      ["20 ms", "sub", "w"],
    ]);
  });

  it("are checked by the names of their own nodes", () => {
    const text = "workflows: { child: { file: child.yaml, nodes: { iner: {} } } }";
    const names = namesIn(ir, new Map([["child", child]]));
    const { diagnostics } = readMocks(text, "mocks.yaml", names);
    expect(diagnostics).toMatchObject([{ hint: "did you mean `inner`?", column: 50 }]);
  });

  it("whose nodes have no mock are asked for too", () => {
    const mocks = mocksFor(ir, "workflows: { child: { file: child.yaml } }");
    const book = new MockBook(ir, mocks, new Map([["child", child]]));
    expect(book.missing().map(({ id }) => id)).toEqual(["inner"]);
  });
});
