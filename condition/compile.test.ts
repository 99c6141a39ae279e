import { describe, expect, it } from "vitest";
import { compileCondition, compileExpression } from "./compile.ts";
import { EvaluationError, ExpressionSyntaxError } from "./errors.ts";
import { SOURCE_LENGTH_MAX } from "./limits.ts";
import type { ExpressionProblem, Vars } from "./types.ts";

function problemOf(source: string): ExpressionProblem {
  try {
    compileCondition(source);
  } catch (error) {
    if (error instanceof ExpressionSyntaxError) return error.problem;
    throw error;
  }
  throw new Error(`${source} compiles`);
}

function evaluationError(source: string, vars: Vars): EvaluationError {
  try {
    compileCondition(source).test(vars);
  } catch (error) {
    if (error instanceof EvaluationError) return error;
    throw error;
  }
  throw new Error(`${source} has a value`);
}

describe("compileCondition", () => {
  it("gives the same object for the same source", () => {
    expect(compileCondition("output.a > 1")).toBe(compileCondition("output.a > 1"));
  });

  it("says where the syntax is wrong", () => {
    expect(problemOf("output.a = 1")).toMatchObject({ kind: "parse", start: 9 });
    expect(problemOf("output.a = 1").hint).toContain("==");
    expect(problemOf("output.a >")).toMatchObject({ kind: "parse", start: 10 });
  });

  it("refuses a source that can never be true or false", () => {
    expect(problemOf("1 + 1")).toMatchObject({ kind: "type", start: 0, end: 5 });
    expect(problemOf("'a' > 1")).toMatchObject({ kind: "type" });
    expect(problemOf("nothing(1)")).toMatchObject({ kind: "type" });
  });

  it.each(["text", 1, null, [true], { a: true }])("does not take %j for a bool", (value) => {
    const error = evaluationError("output", { output: value });
    expect(error.message).toMatch(/true or false/);
  });

  it("refuses long sources, deep nesting, long chains and deep macros", () => {
    const refused = [
      `"${"a".repeat(SOURCE_LENGTH_MAX)}" == ""`,
      `${"(".repeat(200)}true${")".repeat(200)}`,
      `${"!".repeat(4000)}true`,
      `output${".a".repeat(1500)}`,
      Array.from({ length: 680 }, () => "a&&b").join("||"),
      "output.all(x, x.all(y, y.all(z, z > 1)))",
    ];
    for (const source of refused) expect(problemOf(source).kind).toBe("limit");
  });

  it("lets macros follow each other and nest two deep", () => {
    const source = "output.filter(x, x > 1).map(x, [x]).all(x, x.exists(y, y > 1))";
    expect(compileCondition(source).test({ output: [1, 2, 3] })).toBe(true);
  });
});

describe("evaluation errors", () => {
  it("name the field and the place", () => {
    const error = evaluationError("output.total > 5", { output: {} });
    expect(error).toMatchObject({ source: "output.total > 5", start: 7, end: 12 });
    expect(error.message).toContain("total");
  });

  it("never hold run data", () => {
    const secret = "s3cret";
    const vars = { output: { v: secret, n: 12345, l: [secret], m: { [secret]: 1 } } };
    const sources = [
      "output.v > 1",
      "bool(output.v)",
      "int(output.v) == 1",
      "double(output.v) == 1.0",
      "duration(output.v) == duration('1s')",
      "timestamp(output.v) == timestamp(0)",
      "'a'.matches('[' + output.v)",
      "output.m[output.v + 'x'] == 1",
      "output.l[output.n] == 1",
      "output[output.v] == 1",
      "timestamp(0).getHours(output.v) == 1",
      "output.v",
      "output.m",
      "int(output.n) * 9223372036854775807 > 1",
      "output.v.substring(output.n) == ''",
      "output.l.sum() > 1",
    ];
    for (const source of sources) {
      const { message } = evaluationError(source, vars);
      expect(message, source).not.toContain(secret);
      expect(message, source).not.toContain("12345");
    }
  });

  it("speak of types as an author knows them", () => {
    const error = evaluationError("output.a + 'x' == ''", { output: { a: 1 } });
    expect(error.message).toMatch(
      /^no such overload: double \+ string; convert one side, e\.g\. with string/,
    );
  });

  it("do not spoil the compiled program", () => {
    const condition = compileCondition("output.all(x, x > 1)");
    expect(() => condition.test({ output: ["a"] })).toThrow(EvaluationError);
    expect(condition.test({ output: [2] })).toBe(true);
  });
});

describe("the work of an evaluation", () => {
  const numbers = Array.from({ length: 2000 }, (_, i) => i);

  it("allows one pass over a long list", () => {
    expect(compileCondition("output.all(x, x >= 0)").test({ output: numbers })).toBe(true);
  });

  it.each([
    "output.all(a, output.all(b, a + b >= 0))",
    "output.exists(a, output.exists(b, a + b < 0))",
    "output.exists(a, output.exists(b, a + b < 0)) || true",
    "size(output.map(a, output.filter(b, b > a))) > 0",
    "size(output.map(a, output.map(b, b > a, b))) > 0",
    "output.exists_one(a, output.all(b, b != a))",
    "output.all(a, a in (output + output + output + output))",
    "size(output.map(a, output)) > 1 && output.all(x, output == output.map(y, y))",
  ])("stops %s", (source) => {
    expect(evaluationError(source, { output: numbers }).message).toMatch(/50000 steps/);
  });

  it("stops lists and strings that double", () => {
    const doubled = (steps: number): string => {
      let source = "size(v0) > 0";
      for (let i = 0; i < steps; i++) source = `cel.bind(v${i}, v${i + 1} + v${i + 1}, ${source})`;
      return source.replaceAll(`v${steps}`, "output");
    };
    const source = doubled(15);
    expect(evaluationError(source, { output: numbers }).message).toMatch(/steps/);
    const text = "x".repeat(10_000);
    expect(evaluationError(source, { output: text }).message).toMatch(/steps/);
  });

  it("stops joining and replacing before the text is built", () => {
    const text = "x".repeat(100_000);
    for (const source of [
      "output.replace('x', output) == ''",
      "output.split('').join(output) == ''",
    ]) {
      expect(evaluationError(source, { output: text }).message).toMatch(/steps/);
    }
  });

  it.each([
    ...["size(output) > 0", "output.size() > 0", "output.contains('y')", "output.indexOf('y') > 0"],
    ...["output.lowerAscii() == 'y'", "output.trim() == 'y'", "output < output + 'y'"],
    ...["output == input", "output in [input]", "output.split('y').size() > 5", "int(output) > 1"],
  ])("stops a macro that asks %s of a long text", (asked) => {
    const data = { output: "x".repeat(1_000_000), input: `${"x".repeat(999_999)}z` };
    const source = `range(1, 100, 1).exists(i, ${asked} && i > 1000)`;
    expect(evaluationError(source, data).message).toMatch(/steps/);
  });

  it.each(["output.sum() < 0.0", "output.reverse() == []", "size(input) < 0"])(
    "stops a macro that asks %s of many elements",
    (asked) => {
      const output = Array.from({ length: 100_000 }, (_, i) => i);
      const input = Object.fromEntries(output.map((i) => [`k${i}`, i]));
      const source = `range(1, 200, 1).exists(i, ${asked})`;
      expect(evaluationError(source, { output, input }).message).toMatch(/steps/);
    },
  );

  it("tells elements apart by looking at each once, however many there are", () => {
    let looks = 0;
    const output = Array.from({ length: 5_000 }, (_, i) => ({
      get k() {
        looks++;
        return i;
      },
    }));
    const value = compileExpression("output.distinct().size()").evaluate({
      output: output as never,
    });
    expect(value).toBe(5_000);
    expect(looks).toBeLessThan(2 * 5_000);
  });

  it("counts anew for each evaluation", () => {
    const condition = compileCondition("output.all(x, x >= 0)");
    for (let i = 0; i < 30; i++) expect(condition.test({ output: numbers })).toBe(true);
  });

  it("counts an element once", () => {
    const exact = Array.from({ length: 50_000 }, () => 1);
    const condition = compileCondition("output.all(x, x == 1)");
    expect(condition.test({ output: exact })).toBe(true);
    expect(() => condition.test({ output: [...exact, 1] })).toThrow(/steps/);
  });
});

describe("patterns", () => {
  it("run in linear time", () => {
    const output = `${"a".repeat(5000)}!`;
    expect(compileCondition('output.matches("^(a+)+$")').test({ output })).toBe(false);
  });

  it("are refused where they stand if RE2 does not know them", () => {
    expect(problemOf('output.matches("(?=a)")')).toMatchObject({
      kind: "parse",
      start: 15,
      end: 22,
    });
    expect(problemOf('matches(output, "(")')).toMatchObject({ kind: "parse", start: 16 });
  });

  it("may be computed, and a bad one is then an evaluation error", () => {
    const condition = compileCondition("output.matches(input)");
    expect(condition.test({ output: "Abc", input: "(?i)aB" })).toBe(true);
    expect(() => condition.test({ output: "abc", input: "(" })).toThrow(EvaluationError);
  });
});

describe("compileExpression", () => {
  it("gives a part of the data without copying it", () => {
    const output = { a: { b: [1, 2] } };
    expect(compileExpression("output.a").evaluate({ output })).toBe(output.a);
    const listed = compileExpression("[output.a]").evaluate({ output }) as unknown[];
    expect(listed[0]).toBe(output.a);
  });

  it("gives ordinary objects for map literals", () => {
    const value = compileExpression("{'a': {'b': 1}, 'c': [2u, optional.none()]}").evaluate({});
    expect(value).toEqual({ a: { b: 1 }, c: [2, null] });
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  it("refuses a result that JSON cannot write", () => {
    expect(() => compileExpression("1.0 / 0.0").evaluate({})).toThrow(EvaluationError);
    expect(() => compileExpression("[0.0 / 0.0]").evaluate({})).toThrow(EvaluationError);
  });

  it("refuses a result that holds large data too often", () => {
    const output = { list: Array.from({ length: 2500 }, () => 1), text: "x".repeat(10_000) };
    for (const source of ["output.list.map(x, output.list)", "output.list.map(x, output.text)"]) {
      expect(() => compileExpression(`${source}.map(y, [y, y, y])`).evaluate({ output })).toThrow(
        /too large/,
      );
    }
  });

  it("does not change its variables", () => {
    const output = Object.freeze([Object.freeze({ a: 1 })]) as never;
    const vars = Object.freeze({ output });
    expect(compileExpression("output.map(x, x.a + 1)").evaluate(vars)).toEqual([2]);
  });
});
