import { describe, expect, it } from "vitest";
import { runCase, TestFile } from "./cases.ts";
import { differences, differenceText } from "./diff.ts";
import { junit } from "./junit.ts";
import { assertMocked, namesIn } from "./load.ts";
import { NO_CHILDREN } from "./mock-book.ts";
import { askThenTell, diamond } from "./simulation.fixture.ts";

const text = `workflow: t.json
mocks: { nodes: { a: { output: 1 }, b: { output: 2, duration: 9 }, c: { output: 3 } } }
cases:
  - name: good
    expect: { output: { b: 2, c: 9 }, path: [a, b, d], ms: 9 }
    mocks: { nodes: { c: { output: 9 }, d: {} } }
  - name: bad
    expect: { status: FAILED, nodes: { d: skipped, b: { output: 2, attempts: 2 } }, ms_at_most: 5 }
    mocks: { nodes: { d: {} } }
  - name: in the middle
    start_at: d
    value: { b: 1 }
    mocks: { nodes: { d: {} } }
    expect: { output: { b: 1 }, nodes: { a: pending } }
`;

function ran(given: string, ir = diamond) {
  const { tests, diagnostics } = TestFile.read(given, "t.test.yaml");
  if (tests === undefined) throw new Error(diagnostics.map(({ message }) => message).join("; "));
  const { cases, diagnostics: problems } = tests.cases(namesIn(ir));
  expect(problems).toEqual([]);
  return cases.map((one) => {
    assertMocked(ir, one.mocks, NO_CHILDREN);
    return runCase(ir, one);
  });
}

function problems(given: string): string[] {
  const { tests, diagnostics } = TestFile.read(given, "t.test.yaml");
  const found = tests?.cases(namesIn(diamond)).diagnostics ?? diagnostics;
  return found.map((d) => `${d.line}:${d.column} ${d.message}${d.hint ? ` (${d.hint})` : ""}`);
}

describe("test files", () => {
  it("say which case differs, and where", () => {
    const results = ran(text);
    expect(results.map(({ passed }) => passed)).toEqual([true, false, true]);
    expect(results[1]?.differences.map(differenceText)).toEqual([
      'status: expected "FAILED", found "COMPLETED"',
      'nodes.d.status: expected "skipped", found "completed"',
      "nodes.b.attempts: expected 2, found 1",
      "ms_at_most: expected 5, found 9",
    ]);
  });

  it("name the error where a run fails that should not", () => {
    const failing = text.replace("output: 1 }", "error: { code: E, message: no } }");
    const [first] = ran(failing);
    expect(first?.differences.map(differenceText)).toContainEqual(
      expect.stringContaining('error: not expected, found {"code":"E"'),
    );
  });

  it("that are wrong are refused with the place and what was meant", () => {
    expect(problems("workflow: x\ncases: [{ expects: {} }]")).toEqual([
      expect.stringContaining("`expect` is missing"),
      expect.stringContaining("unknown property `expects` (did you mean `expect`?)"),
    ]);
    expect(problems("workflow: x\ncases: []")[0]).toMatch(/^2:8 `cases` must be a list of cases/);
    expect(problems("workflow: x\ncases:\n  - expect: { path: [a, bb] }")).toEqual([
      "3:25 there is no node `bb` (did you mean `b`?)",
    ]);
    expect(
      problems("workflow: x\ncases:\n  - expect: {}\n    mocks: { nodes: { ab: {} } }"),
    ).toEqual([expect.stringContaining("4:23 there is no node `ab`")]);
    expect(problems("workflow: x\ncases:\n  - expect: { status: DONE }")[0]).toContain(
      "must be one of",
    );
  });
});

describe("models and events in test files", () => {
  const told = 'tell: { output: { sent: "${data.text}" } }';
  const about = (nodes: string, expected: string): string =>
    `workflow: t\ncases: [{ mocks: { nodes: { ${nodes} } }, expect: { ${expected} } }]`;
  const differ = (nodes: string, expected: string): string[] =>
    ran(about(nodes, expected), askThenTell()).flatMap((one) =>
      one.differences.map(differenceText),
    );

  it("what a model answers is its mock's output, and is what goes on", () => {
    const ask = "ask: { output: { text: yes } }";
    const expected =
      "output: { sent: yes }, nodes: { ask: { output: { text: yes }, attempts: 1 } }";
    expect(differ(`${ask}, ${told}`, expected)).toEqual([]);
    expect(differ(`${ask}, ${told}`, "nodes: { ask: { output: { text: no } } }")).toEqual([
      'nodes.ask.output.text: expected "no", found "yes"',
    ]);
  });

  it("a model that fails is asked again after its back-off, as often as its retry says", () => {
    const error = "error: { code: LLM_RATE_LIMITED, message: slow down }";
    const busy = (times: number): string =>
      `ask: { ${error}, attempts: ${times}, output: { text: yes } }, ${told}`;
    expect(differ(busy(2), "nodes: { ask: { attempts: 3 } }, output: { sent: yes }")).toEqual([]);
    const failed = "nodes: { ask: { status: failed, attempts: 3 }, tell: pending }";
    const most = `status: FAILED, error: { code: LLM_RATE_LIMITED, node: ask }, ${failed}`;
    expect(differ(busy(3), most)).toEqual([]);
    const final = "ask: { error: { code: LLM_REFUSED, retryable: false } }, tell: {}";
    const once = "status: FAILED, error: LLM_REFUSED, nodes: { ask: { attempts: 1 } }";
    expect(differ(final, once)).toEqual([]);
  });

  it("an event is seen in what its step was given, and in the path", () => {
    const given = "path: [ask, tell], nodes: { tell: { output: { text: yes } } }";
    expect(differ("ask: { output: { text: yes } }, tell: {}", given)).toEqual([]);
    const failing = "ask: { output: 1 }, tell: { error: { code: SINK_AWAY } }";
    expect(differ(failing, "status: FAILED, error: { code: SINK_AWAY, node: tell }")).toEqual([]);
  });

  it.each(["ask", "tell"])("a step without a mock is named, and nothing is called: %s", (id) => {
    const other = id === "ask" ? "tell" : "ask";
    expect(() => differ(`${other}: {}`, "status: COMPLETED")).toThrow(
      new RegExp(`reach outside and have no mock: ${id};`),
    );
  });
});

describe("differences", () => {
  it("are told leaf by leaf", () => {
    const found = differences(
      "output",
      { a: 1, rows: [{ n: 1 }, { n: 2 }], gone: true, "odd key": 0 },
      { a: 1, rows: [{ n: 1 }, { n: 3 }, { n: 4 }], "odd key": null, more: {} },
    );
    expect(found.map(differenceText)).toEqual([
      "output.rows[1].n: expected 2, found 3",
      'output.rows[2]: not expected, found {"n":4}',
      "output.gone: expected true, found nothing",
      'output["odd key"]: expected 0, found null',
      "output.more: not expected, found {}",
    ]);
    expect(differences("x", { a: [], b: {} }, { a: [], b: {} })).toEqual([]);
    expect(differences("x", [], {})).toEqual([{ path: "x", expected: [], actual: {} }]);
  });
});

describe("JUnit", () => {
  it("has a failure per case, with what differs, and an error per broken file", () => {
    const results = ran(text);
    const xml = junit([
      { file: "t.test.yaml", results, broken: null },
      { file: "<odd>.yaml", results: [], broken: 'no "file"\n\u0001' },
    ]);
    expect(xml).toContain('name="t.test.yaml" tests="3" failures="1" errors="0" time="0.018"');
    expect(xml).toContain('name="good" time="0.009"/>');
    expect(xml).toContain("expected &quot;FAILED&quot;, found &quot;COMPLETED&quot;");
    expect(xml).toContain('name="&lt;odd&gt;.yaml" tests="1" failures="0" errors="1"');
    expect(xml).toContain('<error message="no &quot;file&quot;">no &quot;file&quot;\n</error>');
  });
});
