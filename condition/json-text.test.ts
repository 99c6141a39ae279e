import { describe, expect, it } from "vitest";
import { assertWritten, parseJson } from "./json-text.ts";

describe("a JSON text", () => {
  it.each([
    ["1e999", ""],
    ['{"a":[1,{"b/c":-1E+400}]}', " at /a/1/b~1c"],
    [`[0,${"9".repeat(310)}]`, " at /1"],
    [`${"9".repeat(250)}e99`, ""],
    ["0.001e0000312", ""],
    ['{"a":{"b":1e999},"c":1e999}', " at /a/b"],
    ['{"a":[[],{},null,"1"],"b":{"":[{"c":0},1e999]}}', " at /b//1"],
    ['{"a":\n-1.5e0999}', " at /a"],
    ["\t1E310 ", ""],
  ])("with a number that is out of range is refused, with its place: %s", (text, place) => {
    expect(() => parseJson(text)).toThrow(`a number beyond 1.8e308${place}: `);
  });

  it.each([
    "1.7e308",
    "1e-999",
    '"1e999"',
    '["so, 1e999", 1]',
    `"${"9".repeat(400)}"`,
    '{"1e400":null}',
    "null",
  ])("that only looks like it is read: %s", (text) => {
    expect(parseJson(text)).toEqual(JSON.parse(text));
  });

  it("with a number out of range is refused wherever that stands in it", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const numbers = Array.from({ length: (seed % 7) + 1 }, (_, i) => i);
      const lost = seed % numbers.length;
      const text = numbers.reduce((inner, i) => {
        const number = i === lost ? "1e999" : "1";
        return ((seed >> i) & 1) === 0 ? `[${inner},${number}]` : `{"a":${number},"b":${inner}}`;
      }, "[]");
      expect(() => parseJson(text)).toThrow(RangeError);
      expect(parseJson(text.replace("1e999", "1"))).toEqual(JSON.parse(text.replace("1e999", "1")));
    }
  });

  it("is looked through however deep it is", () => {
    const deep = `${"[".repeat(5_000)}1e999${"]".repeat(5_000)}`;
    expect(() => parseJson(deep)).toThrow(/ at \/0\/0.{196}…: /);
  });
});

describe("a value that is to be written", () => {
  it.each([
    [{ a: { b: Number.NaN } }, "at /a/b"],
    [[1, Number.NEGATIVE_INFINITY], "at /1"],
    [{ due: new Date("never") }, "at /due"],
    [Number.NaN, "invalid date: JSON"],
  ])("is refused if null would be written for a number: %o", (value, place) => {
    expect(() => assertWritten(value, JSON.stringify(value))).toThrow(place);
  });

  it("is looked at as it is written: what an object's toJSON does not give is no matter", () => {
    const own = { toJSON: () => null, cached: Number.NaN };
    expect(() => assertWritten({ own }, JSON.stringify({ own }))).not.toThrow();
    const ring = { toJSON: () => null, around: {} };
    ring.around = { ring };
    expect(() => assertWritten([ring], JSON.stringify([ring]))).not.toThrow();
  });

  it("may have null, dates and large numbers", () => {
    const value = { a: null, b: new Date(0), c: 1.7e308, d: undefined, e: "null" };
    expect(() => assertWritten(value, JSON.stringify(value))).not.toThrow();
    expect(() => assertWritten(undefined, undefined)).not.toThrow();
  });
});
