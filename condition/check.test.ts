import { describe, expect, it } from "vitest";
import { checkCondition, checkExpression } from "./check.ts";
import type { CheckScope } from "./types.ts";

const scope: CheckScope = { variables: new Set(["input", "output", "ctx", "iteration", "index"]) };

describe("checkCondition", () => {
  it.each([
    "output.total >= 1000",
    "has(ctx.a) && ctx.a.output.x == 'y'",
    'ctx["a-b"].output.n + 1 > iteration',
    "output.items.exists(i, i.price > index)",
    "output.ok",
    "type(output) == map && int(output.x) > 1",
  ])("finds nothing wrong with %s", (source) => {
    expect(checkCondition(source, scope)).toEqual([]);
  });

  it("names every unknown variable, with the nearest known one", () => {
    const problems = checkCondition("ouptut.a > 1 && secrets.KEY == itreation", scope);
    expect(problems).toMatchObject([
      { kind: "type", message: "unknown variable ouptut", start: 0, end: 6 },
      { kind: "type", message: "unknown variable secrets", start: 16, end: 23 },
      { kind: "type", hint: "did you mean `iteration`?" },
    ]);
    expect(problems[0]?.hint).toBe("did you mean `output`?");
    expect(problems[1]?.hint).toBe("there is: ctx, index, input, iteration, output");
  });

  it("does not take the variable of a macro for unknown", () => {
    expect(checkCondition("output.all(item, item > 1)", scope)).toEqual([]);
    expect(checkCondition("output.all(item, item > 1) && item", scope)).toHaveLength(1);
  });

  it.each([
    ["ctx[output.name].output.x == 1", "cannot be computed"],
    ["size(ctx) > 1", "as a whole"],
    ["'a' in ctx", "as a whole"],
  ])("says what to write instead of %s", (source, message) => {
    const [problem] = checkCondition(source, scope);
    expect(problem).toMatchObject({ kind: "unsupported" });
    expect(problem?.message).toContain(message);
    expect(problem?.hint).toContain("ctx.fetch.output");
  });

  it("shows the field of a node that was meant", () => {
    expect(checkCondition("ctx.fetch.total > 1", scope)).toMatchObject([
      { kind: "type", hint: "write ctx.fetch.output.total", start: 0, end: 15 },
    ]);
    expect(checkCondition('ctx["a-b"].x.y > 1', scope)[0]?.hint).toBe(
      'write ctx["a-b"].output.x.y',
    );
  });

  it("finds type errors without data", () => {
    expect(checkCondition("output.a > 1 && 'x' > 1", scope)).toMatchObject([
      { kind: "type", start: 16, end: 23 },
    ]);
    expect(checkCondition("output.name.size()", scope)).toMatchObject([{ kind: "type" }]);
    expect(checkCondition("output.name.length()", scope)).toMatchObject([{ kind: "type" }]);
  });

  it("reports limits and bad patterns together with unknown names", () => {
    const source = "outptu.a.all(x, x.all(y, y.all(z, z))) && input.s.matches('(')";
    const kinds = checkCondition(source, scope).map((problem) => problem.kind);
    expect(kinds.sort()).toEqual(["limit", "parse", "type"]);
  });

  it.each([
    ["output.a = 1", "`==`"],
    ["output.a and true", "&&"],
    ["$.a > 1", "output.field"],
    ["output.`a-b` > 1", "dash"],
    ["output.s == 'x", "quote"],
    ["loop > 1", "reserved"],
  ])("has a remedy for %s", (source, remedy) => {
    expect(checkCondition(source, scope)[0]).toMatchObject({ kind: "parse" });
    expect(checkCondition(source, scope)[0]?.hint).toContain(remedy);
  });
});

describe("checkExpression", () => {
  it("accepts a value of any type", () => {
    expect(checkExpression("output.a + 1", scope)).toEqual([]);
    expect(checkExpression("output.a ? 'x' : 1", scope)).toEqual([]);
  });
});

describe("a call that fits no function", () => {
  it.each([
    ["now() > 1", "there is no function `now(…)`", "expressions have no clock"],
    ["upper(input.a)", "there is no function `upper(…)`", "did you mean `x.upperAscii(…)`?"],
    ["input.a.toUpperCase()", "no function `x.toUpperCase(…)`", "did you mean `x.upperAscii(…)`?"],
    ["input.l.includes(1)", "no function `x.includes(…)`", "did you mean `x.contains(…)`?"],
    ["input.l.slise(1, 2)", "no function `x.slise(…)`", "did you mean `x.slice(…)`?"],
    ["input.o.merge(input.p)", "no function `x.merge(…)`", "write `merge(…)`"],
    ["trim(input.a)", "there is no function `trim(…)`", "write `x.trim(…)`"],
    ["foo(input.a)", "there is no function `foo(…)`", "there is: base64Decode, base64Encode, "],
    ["range(3)", "found no matching overload for 'range(int)'", "takes other arguments"],
    ["'a'.matches(1)", "found no matching overload for 'string.matches(int)'", "other arguments"],
  ])("%s is told apart from one with other arguments", (source, message, hint) => {
    const [problem] = checkExpression(source, scope);
    expect(problem?.message).toContain(message);
    expect(problem?.hint).toContain(hint);
    expect(problem?.hint).not.toMatch(/LinearTime|captureEvaluator|WithinLimits|At\b/);
  });
});
