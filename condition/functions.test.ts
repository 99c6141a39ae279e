import { describe, expect, it } from "vitest";
import { compileExpression } from "./index.ts";
import type { Json } from "./index.ts";

function value(source: string, data: Json = {}): Json {
  return compileExpression(source).evaluate({ data });
}

describe("functions on JSON values", () => {
  it.each<[string, Json, Json]>([
    ["isString(data.x)", { x: "a" }, true],
    ["isString(data.x)", { x: 1 }, false],
    ["isNumber(data.x)", { x: 1.5 }, true],
    ["isNumber(1)", {}, true],
    ["isNumber(data.x)", { x: null }, false],
    ["isBool(data.x)", { x: false }, true],
    ["isTimestamp(data.x)", { x: "2026-01-31T08:00:00Z" }, true],
    ["isTimestamp(data.x)", { x: "2026-01-31" }, false],
    ["isTimestamp(data.x)", { x: "2026-13-31T08:00:00Z" }, false],
    ["toText(data.x)", { x: "a" }, "a"],
    ["toText(data.x) + toText(1)", { x: { k: [1, null] } }, '{"k":[1,null]}1'],
    ["toJson(data.x)", { x: "a" }, '"a"'],
    ["fromJson(data.x).k", { x: '{"k": 2}' }, 2],
    ["merge(data.a, data.b)", { a: { k: 1, l: 1 }, b: { k: 2 } }, { k: 2, l: 1 }],
    ["merge(data.a, {'k': 3})", { a: { k: 1 } }, { k: 3 }],
    ["values(data)[0].n", { k: { n: 1 } }, 1],
    ["values(data.l).map(x, x.?a.hasValue(), x.a)", { l: [{ a: 1 }, {}, "s"] }, [1]],
    ["setPath(data, ['a', 'b'], 1)", { c: 1 }, { c: 1, a: { b: 1 } }],
    ["setPath(data, ['a', 'b'], {'x': 1})", { a: { b: 0, d: 2 } }, { a: { b: { x: 1 }, d: 2 } }],
    ["setPath(data, ['a', 1], 'x')", { a: [1, 2] }, { a: [1, "x"] }],
    ["setPath(data, [], 7)", {}, 7],
    ["range(1, 9, 2)", {}, [1, 3, 5, 7, 9]],
    ["range(3, data.n, -1)", { n: 1 }, [3, 2, 1]],
    ["data.l.chunk(2)", { l: [1, 2, 3] }, [[1, 2], [3]]],
    ["data.l.slice(1, 3)", { l: [1, 2, 3, 4] }, [2, 3]],
    ["data.l.slice(-2, 4)", { l: [1, 2, 3, 4] }, [3, 4]],
    ["round(2.5) + round(-2.5) + round(1)", {}, 1],
    ["base64Decode(base64Encode(data.x))", { x: "grüß" }, "grüß"],
    ["hash('input data', 'SHA-1')", {}, "aaff4a450a104cd177d28d18d74485e8cae074b7"],
  ])("%s of %j is %j", (source, data, expected) => {
    expect(value(source, data)).toEqual(expected);
  });

  it.each<[string, Json]>([
    ["fromJson(data.x)", { x: "{" }],
    ["merge(data.x, {})", { x: [1] }],
    ["setPath(data, ['a', 'b'], 1)", { a: 3 }],
    ["setPath(data, ['a', 5], 1)", { a: [] }],
    ["range(0, data.n, 1)", { n: 1e6 }],
    ["range(0, 1, 0)", {}],
    ["data.l.chunk(0)", { l: [1] }],
    ["base64Decode(data.x)", { x: "%" }],
    ["hash('a', data.x)", { x: "CRC" }],
    ["round(data.x)", { x: "1" }],
  ])("%s of %j has no value, and the message holds no data", (source, data) => {
    expect(() => value(source, data)).toThrow(/[A-Za-z0-9]+\(\)/);
  });

  it("keys such as __proto__ stay data", () => {
    const data = JSON.parse('{"a": {"__proto__": {"x": 1}}}') as Json;
    const merged = value("merge(data.a, {'k': 1})", data);
    expect(JSON.stringify(merged)).toBe('{"__proto__":{"x":1},"k":1}');
  });
});
