/** Paths and intrinsic functions: what they mean, and what is refused. */
import { describe, expect, it } from "vitest";
import type { Json } from "../../ir.ts";
import { compile } from "../../index.ts";
import { chain, runMachine } from "./asl.fixture.ts";
import { INTRINSICS } from "./intrinsics.ts";

const pass = (expression: string) =>
  chain({ P: { Type: "Pass", Parameters: { "v.$": expression } } });

const DATA: Json = {
  s: "a b",
  n: 3,
  t: true,
  o: { k: [1, { x: "y" }], "a.b": 1 },
  l: [{ p: 5, c: "r" }, { p: 12, c: "b", in: { q: 1 } }, { c: "r" }],
  nums: [1, 2, 2, 3],
  json: '{"a": [1, "x"]}',
};

/** What each function gives of DATA. */
const CALLS: readonly [expression: string, value: Json][] = [
  ["States.Format('Hi {}, {} {}', $.s, $.n, $.o.k)", 'Hi a b, 3 [1,{"x":"y"}]'],
  ["States.Format('it\\'s \\{{}\\}', 'x')", "it's {x}"],
  ["States.Format('${plain}')", "${plain}"],
  ["States.StringToJson($.json)", { a: [1, "x"] }],
  ["States.JsonToString($.o.k)", '[1,{"x":"y"}]'],
  ["States.Array($.n, 'x', null, States.Array())", [3, "x", null, []]],
  ["States.ArrayPartition($.nums, 3)", [[1, 2, 2], [3]]],
  ["States.ArrayContains($.nums, 2)", true],
  ["States.ArrayContains($.o.k, $.o)", false],
  ["States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]],
  ["States.ArrayGetItem($.nums, 3)", 3],
  ["States.ArrayLength($.l)", 3],
  ["States.ArrayUnique($.nums)", [1, 2, 3]],
  ["States.Base64Encode($.s)", "YSBi"],
  ["States.Base64Decode('YSBi')", "a b"],
  ["States.Hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"],
  [
    "States.JsonMerge($.o, $.l[1], false)",
    { ...{ k: [1, { x: "y" }], "a.b": 1 }, p: 12, c: "b", in: { q: 1 } },
  ],
  ["States.MathAdd($.n, -1)", 2],
  ["States.MathAdd($.n, 1.6)", 5],
  ["States.StringSplit('1,2,3', ',')", ["1", "2", "3"]],
  ["States.StringSplit('This.is+a,test=string', '.+,=')", ["This", "is", "a", "test", "string"]],
  ["States.ArrayLength(States.StringSplit($.s, ' '))", 2],
];

const PATHS: readonly [path: string, value: Json][] = [
  ["$", DATA],
  ["$.o.k[1].x", "y"],
  ["$['o']['a.b']", 1],
  ["$.nums[-1]", 3],
  ["$.nums[*]", [1, 2, 2, 3]],
  ["$.l[*].p", [5, 12]],
  ["$.l[*].in.q", [1]],
  ["$.nums[1:3]", [2, 2]],
  ["$.nums[:2]", [1, 2]],
  ["$.nums[-2:]", [2, 3]],
  ["$.l[?(@.p > 10)].c", ["b"]],
  ["$.l[?(@.c == 'r' && @.p)]", [{ p: 5, c: "r" }]],
  ["$.o.*", [[1, { x: "y" }], 1]],
];

describe("expressions of payload templates", () => {
  it.each([...CALLS, ...PATHS])("%s", (expression, value) => {
    expect(runMachine(pass(expression), DATA).output).toEqual({ v: value });
  });

  it("every intrinsic function is in the table, or refused", () => {
    const called = CALLS.flatMap(([text]) => text.match(/States\.\w+/g) ?? []);
    const refused = ["States.MathRandom", "States.UUID"];
    expect([...new Set([...called, ...refused])].toSorted()).toEqual(
      Object.keys(INTRINSICS).toSorted(),
    );
  });

  it.each([
    ["States.MathRandom(1, 5)", /States\.MathRandom gives another value each time/],
    ["States.UUID()", /States\.UUID gives another value each time.*Execution\.Id/],
    ["States.Nothing($.a)", /there is no intrinsic function States\.Nothing/],
    ["States.Format('{}', 1, 2)", /has 1 places and 2 values/],
    ["States.Format($.s)", /must be a literal string/],
    ["States.JsonMerge($.a, $.b, true)", /shallowly only/],
    ["States.ArrayLength($.a", /does not parse/],
    ["States.ArrayLength($.a, $.b)", /takes 1 arguments, not 2/],
    ["$..a", /`\.\.` in the path is not supported/],
    ["$.a[*].b[*]", /only name fields and elements/],
    ["$.a[0,1]", /unions/],
    ["$.a.length()", /path function/],
    ["$$.Task.Token", /of the context object is not supported/],
    ["$$.Map.Item.Value", /in a Map only/],
    ["a.b", /begins with/],
  ])("%s is refused, and said why", (expression, expected) => {
    const { ir, diagnostics } = compile({ document: pass(expression) });
    expect(ir).toBeNull();
    expect(diagnostics.map(({ code }) => code)).toEqual(["GV5001"]);
    expect(diagnostics[0]).toMatchObject({ pointer: "/States/P/Parameters/v.$" });
    expect(diagnostics[0]?.message).toMatch(expected);
  });
});
