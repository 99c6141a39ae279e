/** Every comparison of a Choice, on values of its type and of others. */
import { describe, expect, it } from "vitest";
import type { Json } from "../../ir.ts";
import { runMachine } from "./asl.fixture.ts";
import type { JsonObject } from "./asl.fixture.ts";
import { COMPARISONS, QUESTIONS } from "./choice.ts";

/** Where a rule leads with this input: `yes`, `no`, or the code of the failure. */
function decide(rule: JsonObject, input: Json): string {
  const machine = {
    StartAt: "Ask",
    States: {
      Ask: { Type: "Choice", Choices: [{ ...rule, Next: "Yes" }], Default: "No" },
      Yes: { Type: "Pass", Result: "yes", End: true },
      No: { Type: "Pass", Result: "no", End: true },
    },
  };
  const { output, error } = runMachine(machine, input);
  return error?.code ?? String(output);
}

const T1 = "2026-01-01T00:00:00Z";
const T2 = "2026-01-01T01:30:00+01:00";

/** By operator: right side, then values for which it holds, and for which it does not. */
const TABLE: readonly [operator: string, right: Json, holds: Json[], not: Json[]][] = [
  ["StringEquals", "b", ["b"], ["B", "", 1, null, ["b"]]],
  ["StringLessThan", "b", ["a", ""], ["b", "c", 1, null]],
  ["StringGreaterThan", "b", ["c", "ba"], ["b", "a", 3]],
  ["StringLessThanEquals", "b", ["a", "b"], ["c", true]],
  ["StringGreaterThanEquals", "b", ["b", "c"], ["a", {}]],
  ["NumericEquals", 2, [2, 2.0], [2.5, "2", null]],
  ["NumericLessThan", 2, [1.5, -1], [2, "1", null]],
  ["NumericGreaterThan", -2, [-1, 0.5], [-2, "3"]],
  ["NumericLessThanEquals", 2.5, [2.5, 0], [3, false]],
  ["NumericGreaterThanEquals", 2, [2, 3], [1, [3]]],
  ["BooleanEquals", true, [true], [false, "true", 1, null]],
  ["BooleanEquals", false, [false], [true, null, 0]],
  ["TimestampEquals", T1, [T1, "2026-01-01T01:00:00+01:00"], [T2, "x", 1]],
  ["TimestampLessThan", T2, [T1], [T2, "2027-01-01T00:00:00Z", "2020-01-01", 0]],
  ["TimestampGreaterThan", T1, [T2], [T1, null]],
  ["TimestampLessThanEquals", T1, [T1], [T2, "a"]],
  ["TimestampGreaterThanEquals", T1, [T1, T2], ["2020-01-01T00:00:00Z"]],
  ["StringMatches", "log-*.txt", ["log-.txt", "log-a\nb.txt"], ["log-x_txt", "xlog-.txt", 1]],
  ["StringMatches", "a\\*(b)*", ["a*(b)", "a*(b)c"], ["ax(b)"]],
  ["IsNull", true, [null], [0, ""]],
  ["IsNull", false, [0, ""], [null]],
  ["IsString", true, ["", "a"], [1, null, []]],
  ["IsNumeric", true, [0, 1.5], ["1", null]],
  ["IsBoolean", true, [false], ["true", null]],
  ["IsTimestamp", true, [T1, T2], ["2026-01-01", "x", 1, "2026-01-01t00:00:00Z"]],
  ["IsPresent", true, [1, null], []],
];

describe.each(TABLE)("%s %j", (operator, right, holds, not) => {
  const rule = { Variable: "$.v", [operator]: right };

  it("holds", () => {
    for (const v of holds) expect(decide(rule, { v }), JSON.stringify(v)).toBe("yes");
  });

  it("does not hold, and values of other types are no error", () => {
    for (const v of not) expect(decide(rule, { v }), JSON.stringify(v)).toBe("no");
  });
});

const COMPARED = TABLE.filter(([operator]) => Object.hasOwn(COMPARISONS, operator));

describe.each(COMPARED)("%sPath %j", (operator, right, holds, not) => {
  it("says the same of another part of the input", () => {
    const compare = { Variable: "$.v", [`${operator}Path`]: "$.other['x y']" };
    const other = { "x y": right };
    for (const v of holds) expect(decide(compare, { v, other }), JSON.stringify(v)).toBe("yes");
    for (const v of not) expect(decide(compare, { v, other }), JSON.stringify(v)).toBe("no");
    const strange = { "x y": [right] };
    for (const v of holds) expect(decide(compare, { v, other: strange })).toBe("no");
  });
});

describe("a Choice", () => {
  it("the table above has every comparison", () => {
    const shown = new Set(TABLE.map(([operator]) => operator));
    const all = [
      ...Object.keys(COMPARISONS),
      ...Object.keys(QUESTIONS),
      "StringMatches",
      "IsPresent",
    ];
    expect([...shown].toSorted()).toEqual(all.toSorted());
  });

  it.each<[Json, boolean, string]>([
    [{ a: { b: 1 } }, true, "yes"],
    [{ a: {} }, true, "no"],
    [{}, true, "no"],
    [{ a: "x" }, true, "no"],
    [{}, false, "yes"],
  ])("IsPresent of a path in %j is %s: %s", (input, present, expected) => {
    expect(decide({ Variable: "$.a.b", IsPresent: present }, input)).toBe(expected);
  });

  it("a missing variable fails the state", () => {
    expect(decide({ Variable: "$.v", StringEquals: "a" }, {})).toBe("CONDITION_FAILED");
  });

  it.each<[Json, string]>([
    [{ n: 5, s: "a" }, "yes"],
    [{ n: 15, s: "a" }, "no"],
    [{ n: 5, s: "x" }, "no"],
    [{ n: 5, s: "b" }, "yes"],
  ])("And, Or and Not go together: %j is %s", (input, expected) => {
    const rule = {
      And: [
        { Not: { Variable: "$.n", NumericGreaterThan: 10 } },
        {
          Or: [
            { Variable: "$.s", StringEquals: "a" },
            { Variable: "$.s", StringEquals: "b" },
          ],
        },
      ],
    };
    expect(decide(rule, input)).toBe(expected);
  });

  it("takes the first rule that holds, and fails where none does", () => {
    const machine = {
      StartAt: "Ask",
      States: {
        Ask: {
          Type: "Choice",
          Choices: [
            { Variable: "$.n", NumericGreaterThan: 1, Next: "One" },
            { Variable: "$.n", NumericGreaterThan: 0, Next: "Two" },
            { Variable: "$.n", NumericEquals: -1, Next: "One" },
          ],
        },
        One: { Type: "Pass", Parameters: { "one.$": "$.n" }, End: true },
        Two: { Type: "Pass", Parameters: { "two.$": "$.n" }, End: true },
      },
    };
    const of = (n: number): Json => {
      const { output, error } = runMachine(machine, { n });
      return error ? error.code : output;
    };
    expect([of(2), of(1), of(-1), of(-5)]).toEqual([
      { one: 2 },
      { two: 1 },
      { one: -1 },
      "NO_BRANCH_MATCHED",
    ]);
  });

  it("its rules see the input before OutputPath, and what follows the input behind it", () => {
    const machine = {
      StartAt: "Ask",
      States: {
        Ask: {
          Type: "Choice",
          InputPath: "$.in",
          OutputPath: "$.keep",
          Choices: [{ Variable: "$.n", NumericEquals: 1, Next: "Done" }],
        },
        Done: { Type: "Succeed" },
      },
    };
    expect(runMachine(machine, { in: { n: 1, keep: "this" } }).output).toBe("this");
  });
});
