/** Keys that have a meaning in JavaScript are only data here: an attack corpus. */
import { afterEach, describe, expect, it } from "vitest";
import { compileCondition, compileExpression } from "./compile.ts";
import { parseData, toData } from "./json.ts";
import { compileTemplate } from "./template.ts";
import type { Vars } from "./types.ts";

const NASTY = `{
  "constructor": {"constructor": "c", "prototype": {"x": 1}},
  "__proto__": {"admin": true, "__proto__": 5},
  "toString": "t", "hasOwnProperty": 0, "valueOf": null,
  "list": [{"constructor": 1}, {"__proto__": 2}]
}`;

const output = parseData(NASTY);
const vars: Vars = { output, ctx: { constructor: { output: 1 }, n: { output } } };

function evaluate(source: string): unknown {
  return compileExpression(source).evaluate(vars);
}

afterEach(() => {
  expect(({} as { admin?: unknown }).admin).toBeUndefined();
  expect(Object.keys(Object.prototype)).toEqual([]);
});

describe("data with keys such as constructor and __proto__", () => {
  it.each([
    ["output.constructor.constructor", "c"],
    ["output.constructor.prototype.x", 1],
    ['output["__proto__"].admin', true],
    ["output.__proto__.__proto__", 5],
    ["output.toString", "t"],
    ["output.hasOwnProperty + 1", 1],
    ["output.valueOf", null],
    ["has(output.constructor) && has(output.__proto__) && !has(output.isPrototypeOf)", true],
    ["has(output.__proto__.isAdmin)", false],
    ["'constructor' in output && !('propertyIsEnumerable' in output)", true],
    ["output.list[0].constructor", 1],
    ["output.list.map(x, size(x))", [1, 1]],
    ["output.list.exists(x, has(x.__proto__) && x.__proto__ == 2)", true],
    ["size(output.list) + size(output)", 8],
    ["output.?constructor.?constructor.orValue('none')", "c"],
    ["output.list == [{'constructor': 1}, {'__proto__': 2}]", true],
    ["{'__proto__': {}} == {'x': 1}", false],
    ["{'a': {'constructor': 1}}.a.constructor", 1],
    ["[{'constructor': 1}].all(x, x.constructor == 1)", true],
    ["(output.list + output.list)[2].constructor", 1],
    ["{'constructor': 1} in output.list", true],
    ["ctx.n.output.constructor.constructor", "c"],
    ["ctx.constructor.output", 1],
    ["string(output.constructor == output.constructor)", "true"],
    ["output.map(k, k).size()", 6],
  ])("%s reads own keys only", (source, expected) => {
    expect(evaluate(source)).toEqual(expected);
  });

  it.each([
    "output.isPrototypeOf",
    "output.list[1].constructor",
    "output.list.constructor",
    "output.toString.constructor",
    "output.constructor('return 1')()",
    "{'a': 1}.constructor",
    "{'a': 1}.__proto__",
    "constructor",
    "hasOwnProperty",
    "ctx.toString.output",
  ])("%s is an error", (source) => {
    expect(() => evaluate(source)).toThrow();
  });

  it("is not found where it is not an own key", () => {
    const plain: Vars = { output: { x: 1 } };
    expect(compileCondition('has(output.constructor) || "toString" in output').test(plain)).toBe(
      false,
    );
  });

  it("comes through expressions and templates unharmed", () => {
    const text = JSON.stringify(output);
    expect(JSON.stringify(evaluate("output"))).toBe(text);
    expect(JSON.stringify(evaluate("[output]"))).toBe(`[${text}]`);
    expect(JSON.stringify(evaluate("{'a': output, 'n': 1}"))).toBe(`{"a":${text},"n":1}`);
    expect(compileTemplate("x${output}").evaluate(vars)).toBe(`x${text}`);
    const template = parseData('{"__proto__": "${output.toString}", "constructor": {"a": "${1}"}}');
    const filled = compileTemplate(template).evaluate(vars);
    expect(JSON.stringify(filled)).toBe('{"__proto__":"t","constructor":{"a":1}}');
    expect(Object.getPrototypeOf(filled)).toBe(Object.prototype);
  });

  it("is kept in map literals", () => {
    const value = evaluate("{'__proto__': {'admin': true}, 'constructor': 1, 'prototype': 2}");
    const kept = '{"__proto__":{"admin":true},"constructor":1,"prototype":2}';
    expect(JSON.stringify(value)).toBe(kept);
    expect((value as { admin?: unknown }).admin).toBeUndefined();
  });

  it("needs no conversion on the way in", () => {
    expect(toData(output)).toBe(output);
    expect(JSON.stringify(output)).toBe(JSON.stringify(JSON.parse(NASTY)));
  });
});
