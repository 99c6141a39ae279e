import { describe, expect, it } from "vitest";
import { EvaluationError, TemplateSyntaxError } from "./errors.ts";
import { checkTemplate, compileTemplate } from "./template.ts";
import type { Json, TemplateProblem, Vars } from "./types.ts";

const vars: Vars = { input: { id: 7, name: "Ann", tags: ["a", 1], none: null, o: { k: true } } };

function fill(value: Json): Json {
  return compileTemplate(value).evaluate(vars);
}

function problemsOf(value: Json): readonly TemplateProblem[] {
  try {
    compileTemplate(value);
  } catch (error) {
    if (error instanceof TemplateSyntaxError) return error.problems;
    throw error;
  }
  return [];
}

describe("compileTemplate", () => {
  it.each([
    ["${input.id}", 7],
    ["${input.tags}", ["a", 1]],
    ["${input.none}", null],
    ["${1 + 1}", 2],
    ["${ input.o }", { k: true }],
    ["id=${input.id}", "id=7"],
    ["${input.name}${input.name}", "AnnAnn"],
    ["${input.name} ", "Ann "],
    [
      "tags: ${input.tags}, o: ${input.o}, none: ${input.none}",
      'tags: ["a",1], o: {"k":true}, none: null',
    ],
    ['${ {"a": "}"}.a }', "}"],
    ["${ {'a': {'b': '${x}'}}.a.b }", "${x}"],
    ["${'\\'}'}", "'}"],
    ['${"""a"}"b"""}', 'a"}"b'],
    ["${input.name // a } comment\n}", "Ann"],
    ["$${input.id}", "${input.id}"],
    ["$${a} ${input.id}", "${a} 7"],
    ["$ {x} $5 }{ $", "$ {x} $5 }{ $"],
    ["", ""],
  ])("fills %j", (template, expected) => {
    expect(fill(template)).toEqual(expected);
  });

  it("goes through objects and lists, but not into keys", () => {
    expect(fill({ "${k}": ["${input.id}", { a: "x${input.id}" }, 1, null, true] })).toEqual({
      "${k}": [7, { a: "x7" }, 1, null, true],
    });
  });

  it("knows whether it is constant", () => {
    expect(compileTemplate({ a: ["$${x}", 1] }).isConstant).toBe(true);
    expect(compileTemplate({ a: ["${1}"] }).isConstant).toBe(false);
    expect(compileTemplate("plain").isConstant).toBe(true);
  });

  it("gives its references with the string they are in and their offsets in it", () => {
    const text = "a ${input.x} ${ctx.n.output.y + 1}";
    const { references } = compileTemplate({ "a/b~": [text] });
    expect(references.map((ref) => [ref.pointer, text.slice(ref.start, ref.end)])).toEqual([
      ["/a~1b~0/0", "input.x"],
      ["/a~1b~0/0", "ctx.n.output.y"],
    ]);
    expect(references[1]?.path).toEqual(["ctx", "n", "output", "y"]);
  });

  it("reports the problems of all strings with their places", () => {
    const problems = problemsOf({ a: "x ${1 +}", b: ["${", "${input.x} ${'a' > 1}"], c: "${}" });
    expect(problems.map((problem) => [problem.pointer, problem.start])).toEqual([
      ["/a", 7],
      ["/b/0", 0],
      ["/b/1", 13],
      ["/c", 2],
    ]);
  });

  it("refuses values nested without end", () => {
    let value: Json = "${1}";
    for (let i = 0; i < 300; i++) value = [value];
    expect(problemsOf(value)).toMatchObject([{ kind: "limit" }]);
  });

  it("says in which string an evaluation failed", () => {
    const template = compileTemplate({ a: ["ok", "x ${input.missing}"] });
    try {
      template.evaluate(vars);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(EvaluationError);
      expect(error).toMatchObject({ pointer: "/a/1", start: 10, end: 17 });
    }
  });
});

describe("checkTemplate", () => {
  const scope = { variables: new Set(["input", "ctx"]) };

  it("finds nothing wrong with a right template", () => {
    expect(checkTemplate({ a: "${input.x} ${ctx.n.output}", b: [1, "$${"] }, scope)).toEqual([]);
  });

  it("reports every problem with pointer and offsets", () => {
    const problems = checkTemplate(
      { a: "v ${inptu.x} ${ctx.n.y}", b: ["${output.z}", "${"] },
      scope,
    );
    expect(problems).toMatchObject([
      { pointer: "/a", start: 4, end: 9, hint: "did you mean `input`?", fix: "input" },
      { pointer: "/a", start: 15, hint: "write ctx.n.output.y" },
      { pointer: "/b/0", message: "unknown variable output" },
      { pointer: "/b/1", kind: "parse" },
    ]);
  });
});

describe("a field that is missing", () => {
  const said = (template: string): string => {
    try {
      return String(compileTemplate(template).evaluate(vars));
    } catch (error) {
      return (error as Error).message;
    }
  };
  it.each([
    ["${input.card}", "no such field: input.card; ask with has(input.card) first"],
    ["to ${input.o.sub.no}", "no such field: input.o.sub; ask with has(input.o.sub) first"],
    ["${[input.o][0].x}", "no such field: x; ask with has() first"],
    ["${[input.o].map(i, i.x)}", "no such field: i.x; ask with has(i.x) first"],
    ["${input['card']}", "no such field: card; ask with has() first"],
    [`\${input.${"k".repeat(120)}}`, `no such field: ${"k".repeat(120)}; ask with has() first`],
  ])("%s is named as the file names it", (template, message) => {
    expect(said(template)).toBe(message);
  });
});
