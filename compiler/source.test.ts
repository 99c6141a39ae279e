import { describe, expect, it } from "vitest";
import { compile, formatDiagnostic, readNative } from "./index.ts";

function first(text: string, file = "w.json"): string {
  const [diagnostic] = compile({ text, file }).diagnostics;
  return diagnostic ? `${diagnostic.code} ${diagnostic.line}:${diagnostic.column}` : "none";
}

describe("reading JSON", () => {
  it("each syntax error has its place", () => {
    expect(first('{"name": "w",}')).toBe("GV1003 1:13");
    expect(first('{\n  name: "w"\n}')).toBe("GV1003 2:3");
    expect(first('{"name": "w"} x')).toBe("GV1003 1:15");
    expect(first('{"a": 01}')).toBe("GV1003 1:8");
    expect(first('{"a": "x\ny"}')).toBe("GV1003 1:9");
    expect(first('{"a": "\\x"}')).toBe("GV1003 1:8");
    expect(first("{'a': 1}")).toBe("GV1003 1:2");
    expect(first('{"a": [1, 2')).toBe("GV1003 1:12");
  });

  it("a key that occurs twice is found however it is spelt", () => {
    expect(first('{"name": "w", "n\\u0061me": "v"}')).toBe("GV1004 1:15");
  });

  it("deep nesting is refused without exhausting the stack", () => {
    expect(first("[".repeat(200_000))).toBe("GV1007 1:65");
    expect(first("[".repeat(20_000), "w.yaml")).toMatch(/^GV100[37]/);
  });

  it("a byte order mark is no part of the text", () => {
    expect(
      compile({ text: '\uFEFF{"name":"w","nodes":[{"id":"a","type":"noop"}]}' }).ir,
    ).not.toBeNull();
  });

  it("the place of an expression's error is inside its string, also behind escapes", () => {
    const file = (condition: string): string =>
      `{"name":"w","nodes":[{"id":"a","type":"noop"},{"id":"b","type":"noop"}],"edges":[\n` +
      `{"from":"a","to":"b","condition":${condition}}]}`;
    expect(first(file('"output.x > iteration"'))).toBe("GV3007 2:46");
    expect(first(file('"output.x \\u003e iteration"'))).toBe("GV3007 2:51");
  });
});

describe("reading YAML", () => {
  const head = "name: w\nnodes:\n  - { id: a, type: noop }\n";

  it("`on` and `no` are strings, as YAML 1.2 has it", () => {
    const text = `${head}  - { id: no, type: noop }\nedges:\n  - { from: a, to: no, on: error }\n`;
    const { ir } = compile({ text });
    expect(ir?.edges[0]?.on).toBe("error");
    expect(ir?.nodes[1]?.id).toBe("no");
  });

  it("aliases stand for what they name", () => {
    const text =
      "name: w\nnodes:\n  - { id: a, type: human, timeout_ms: 5, retry: &r { max_attempts: 4 } }\n" +
      "  - { id: b, type: human, timeout_ms: 5, retry: *r }\n";
    expect(compile({ text }).ir?.nodes.map((n) => n.retry.max_attempts)).toEqual([4, 4]);
  });

  it("several documents, unknown tags and undefined aliases are refused", () => {
    expect(first(`${head}---\nname: v\n`, "w.yaml")).toBe("GV1003 4:1");
    expect(first(`${head}output: !!binary aGk=\n`, "w.yaml")).toBe("GV1010 4:18");
    expect(first(`${head}output: !odd x\n`, "w.yaml")).toMatch(/^GV1003 4:/);
    expect(first(`${head}output: *nobody\n`, "w.yaml")).toMatch(/^GV10/);
  });
});

describe("places inside of YAML strings", () => {
  const file = (condition: string): string =>
    `name: w\nnodes:\n  - { id: a, type: noop }\n  - { id: b, type: noop }\n` +
    `edges:\n  - from: a\n    to: b\n    condition: ${condition}\n`;

  it.each([
    ["plain", "output.x > iteration", "8:27"],
    ["in single quotes, with a doubled one", "'output[''x''] > iteration'", "8:33"],
    ["in double quotes, with escapes", '"output.x \\u003e iteration"', "8:33"],
    ["a literal block", "|\n      output.x >\n        iteration", "10:9"],
    ["a folded block, whose start is shown", ">\n      output.x >\n      iteration", "8:16"],
  ])("%s", (_, condition, place) => {
    expect(first(file(condition), "w.yaml")).toBe(`GV3007 ${place}`);
  });

  it("a range covers what is wrong and a fix replaces it", () => {
    const { diagnostics } = compile({ text: file("outptu.x > 3"), file: "w.yaml" });
    expect(diagnostics).toMatchObject([
      {
        ...{ code: "GV3002", line: 8, column: 16, end_line: 8, end_column: 22 },
        fix: { text: "output", line: 8, column: 16, end_line: 8, end_column: 22 },
      },
    ]);
  });
});

describe("a version that is written as a number", () => {
  it.each(["1.10", "1.0", "1e3", "9007199254740993"])(
    "is %s, as it stands in the file",
    (version) => {
      const nodes = '"nodes":[{"id":"a","type":"noop"}]';
      const texts = [
        `{"name":"w","version": ${version} ,${nodes}}`,
        `{"metadata":{"name":"w","version":${version}},${nodes}}`,
        `name: w\nversion: ${version}  # the newest\nnodes: [{ id: a, type: noop }]\n`,
        `metadata: { name: w, version: ${version} }\nnodes: [{ id: a, type: noop }]\n`,
        `name: w\ndescription: ""\nmetadata: { version: &v ${version} }\nversion: *v\n` +
          "nodes: [{ id: a, type: noop }]\n",
      ];
      const results = texts.map((text) => compile({ text }));
      expect(results.map(({ ir }) => ir?.workflow_version)).toEqual(texts.map(() => version));
      expect(results.flatMap(({ diagnostics }) => diagnostics)).toEqual([]);
    },
  );

  it("is kept in what another dialect, and a converted file, says", () => {
    const text = "name: w\nversion: 1.10\nsteps: [{ id: a, type: task, config: {} }]\n";
    const { value } = readNative({ text, dialect: "steps" });
    expect(value).toMatchObject({ version: "1.10" });
  });

  it("is the number where there is no text, as JSON writes it", () => {
    const document = { name: "w", version: 1.1, nodes: [{ id: "a", type: "noop" }] };
    expect(compile({ document }).ir?.workflow_version).toBe("1.1");
  });
});

describe("a diagnostic as text", () => {
  it("names file, line, column, severity, code and remedy", () => {
    const text = '{"name":"w","nodes":[{"id":"a","type":"functoin"}]}';
    const { diagnostics } = compile({ text, file: "w.json" });
    expect(diagnostics.map(formatDiagnostic)).toEqual([
      "w.json:1:39 error GV4001: unknown node type `functoin`\n  hint: did you mean `function`?",
    ]);
  });
});
