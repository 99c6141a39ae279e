/** The probes of plain JSON that the choice of the language rests on, as a table. */
import { describe, expect, it } from "vitest";
import { compileExpression } from "./compile.ts";
import type { Vars } from "./types.ts";

const vars: Vars = {
  output: JSON.parse(`{
    "score": 80.5, "eighty": 80, "eightyPoint": 80.0,
    "count": 3, "low": 79.9, "big": 9007199254740992,
    "s": "it's", "text": "abc", "f": null, "ok": true, "status": "ok", "error": {"code": "E"},
    "tags": ["gold", "new"], "numbers": [1, 2, 3], "empty": [], "a": {"x": 1},
    "items": [{"id": 7, "qty": 3, "price": 11}, {"id": 8, "qty": 1, "price": 2}], "nested": [[1, 2]]
  }`) as never,
  ctx: {
    enrich: { output: { revenue: 100001 } },
    "fetch-user": { output: { name: "u" } },
    loop: { output: { n: 2 } },
  },
  index: 2,
  iteration: 1,
};

const ERROR = Symbol("an error");

const PROBES: [string, unknown][] = [
  ["output.score >= 80", true],
  ["output.eighty >= 80", true],
  ["output.low >= 80", false],
  ["output.count == 3", true],
  ["output.count == 3.0", true],
  ["output.eighty == output.eightyPoint", true],
  ["output.count != 4", true],
  ["output.score / 2", 40.25],
  ["output.count / 2", 1.5],
  ["output.count + 1", 4],
  ["1 + output.count == 4", true],
  ["output.count * 2 - 1 == 5", true],
  ["output.count % 2 == 1", true],
  ["-output.count == -3", true],
  ["1 / 2", 0],
  ["1 / 2.0", 0.5],
  ["9007199254740993 == output.big", false],
  ["output.numbers == [1, 2, 3]", true],
  ["output.nested == [[1.0, 2]]", true],
  ["output.a == {'x': 1}", true],
  ["[1, 2] == [1.0, 2.0]", true],
  ["{'a': 1} != {'a': 1.0}", false],
  ["[1] + [2.5]", [1, 2.5]],
  ["2 in output.numbers", true],
  ["output.count in [1, 2, 3]", true],
  ["1.0 in [1]", true],
  ["'x' in output.a", true],
  ["'gold' in output.tags", true],
  ["!has(output.x) || output.x > 1", true],
  ["true || output.missing > 1", true],
  ["true && has(output.x) && output.x > 1", false],
  ["output.missing > 1 && false", false],
  ["false && output.missing > 1", false],
  ["output.missing > 1 || true", true],
  ["output.missing > 1 || false", ERROR],
  ["output.missing", ERROR],
  ["has(output.missing)", false],
  ["has(output.missing.deeper)", ERROR],
  ["has(output.f)", true],
  ["'f' in output", true],
  ["output.f == null", true],
  ["output.s == null", false],
  ["has(output.items[0].id)", true],
  ["has(output.items[0].nothing)", false],
  ["has(ctx.skipped.output.x)", false],
  ["has(ctx.skipped)", false],
  ["has(ctx.enrich.output.revenue)", true],
  ["output.text.startsWith('a') && output.text.endsWith('c') && output.text.contains('b')", true],
  ["output.text.matches('^a.c$')", true],
  ["matches(output.text, 'b')", true],
  ["output.text.size() + size(output.text)", 6],
  ["output.text.split('b')", ["a", "c"]],
  ["output.tags.join('-')", "gold-new"],
  ["output.tags.join()", "goldnew"],
  ["output.numbers.join('-')", ERROR],
  ["captureEvaluator() && captureEvaluator()", true],
  ["output.text.replace('b', '+')", "a+c"],
  ["output.text.substring(output.count - 1)", "c"],
  ["output.text.substring(1, output.count)", "bc"],
  ["size('👍') == 1", true],
  ["'it\\'s' == output.s", true],
  ['"\\u00dc"', "Ü"],
  ['r"\\d"', "\\d"],
  ["duration('1h30m')", "PT5400S"],
  ["duration('-250ms')", "-PT0.25S"],
  ["timestamp('2026-01-02T03:04:05Z')", "2026-01-02T03:04:05.000Z"],
  ["timestamp(output.count)", "1970-01-01T00:00:03.000Z"],
  ["int('12') + 1", 13],
  ["string(output.eightyPoint)", "80"],
  ["double('1.5')", 1.5],
  ["type(output.text) == string", true],
  ["type(1)", "int"],
  ["7u", 7],
  ["b'hi'", "aGk="],
  ["(output).count", 3],
  ["[1, 2].exists(x, x == 2)", true],
  ["[].all(e, e > 0)", true],
  ["output.empty.all(e, e > 0)", true],
  ["8e1", 80],
  ["2.5-1.5", 1],
  ["output.s ? 1 : 2", ERROR],
  ["!null", ERROR],
  ["output.numbers.filter(x, x)", ERROR],
  ["output.numbers.filter(x, x > 1).map(x, x * 2)", [4, 6]],
  ["output.items.exists(i, i.qty > 2 && i.price > 10)", true],
  ["output.items.map(i, i.id)", [7, 8]],
  ["output.numbers.sum() + [1].sum()", 7],
  ["[1, 1.0, 2].distinct()", [1, 2]],
  ["[1u, 1.0, '1', null, 'null', null].distinct()", [1, "1", null, "null"]],
  ["[['a', 1], ['a', 1.0], ['a'], {'a': 1, 'b': 2}, {'b': 2.0, 'a': 1}].distinct().size()", 3],
  ["[9007199254740993, output.big, 9007199254740992, double('nan')].distinct().size()", 3],
  ["[timestamp(0), timestamp(0), timestamp(1), 0].distinct().size()", 3],
  ["output.numbers.reverse()", [3, 2, 1]],
  ["output.ok ? 'a' : 17", "a"],
  ["output.ok ? output.text : null", "abc"],
  ["output.items[index - 1].id", 8],
  ["output.items[5]", ERROR],
  ["output.items['id']", ERROR],
  ["output.tags.length", ERROR],
  ["output.constructor", ERROR],
  ["output.__proto__", ERROR],
  ["output.toString", ERROR],
  ["toString", ERROR],
  ["output.?missing.?x", null],
  ["output.?missing.orValue(5)", 5],
  ["output.items[?0].?id.hasValue()", true],
  ["iteration + 1", 2],
  ["ctx.enrich.output.revenue > 100000", true],
  ['ctx["fetch-user"].output.name', "u"],
  ["ctx.loop.output.n", 2],
  ["ctx.skipped.output.n", ERROR],
  ["cel.bind(x, output.count, x * x)", 9],
  ["output.count / 0", ERROR],
  ["5 / 0", ERROR],
  ["output.count > 1 // a comment", true],
  ["{1: 'a'}[output.numbers[0]]", "a"],
  ["{'a': 1, 'a': 2}", ERROR],
];

function valueOf(source: string): unknown {
  try {
    return compileExpression(source).evaluate(vars);
  } catch {
    return ERROR;
  }
}

describe("probes of plain JSON", () => {
  it.each(PROBES)("%s has its one right result", (source, expected) => {
    expect(valueOf(source)).toEqual(expected);
  });

  it.each([
    "output.score >= 80 #",
    "output.score === 80",
    "true &&& true",
    '"unterminated',
    "a b",
    "output.score = 80",
    "loop > 1",
    "",
  ])("%s is a syntax error", (source) => {
    expect(() => compileExpression(source)).toThrow(
      expect.objectContaining({ name: "ExpressionSyntaxError" }),
    );
  });
});
