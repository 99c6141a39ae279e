import { describe, expect, it } from "vitest";
import { compile } from "../../compiler/index.ts";
import type { Json, NodeType } from "../../compiler/ir.ts";
import { delayOf } from "./delay.ts";
import { nodeOf } from "./kind.fixture.ts";
import { resolveInput } from "./kind.ts";
import { evaluatePure } from "./pure.ts";

type Config = { [key: string]: Json };

function evaluate(type: NodeType, config: Config, data: Json): Json {
  return evaluatePure(nodeOf(type, config), { data, input: { limit: 2 }, ctx: {} }, data);
}

const refused = expect.objectContaining({ code: "BAD_INPUT", retryable: false });

describe("nodes that only route", () => {
  it("give their input", () => {
    for (const type of ["conditional", "parallel", "loop"] as const) {
      expect(evaluate(type, {}, { a: 1 })).toEqual({ a: 1 });
    }
  });

  it("take config.input instead of what they were fired with", () => {
    const node = nodeOf("parallel", { input: { only: "${data.a}" } });
    expect(resolveInput(node, {}, { a: 1, b: 2 })).toEqual({ only: 1 });
    expect(resolveInput(nodeOf("parallel"), {}, 7)).toBe(7);
  });
});

describe("transform", () => {
  it("evaluates CEL, a template, or an object of templates", () => {
    expect(evaluate("transform", { expression: "data.a + 1" }, { a: 1 })).toBe(2);
    expect(evaluate("transform", { expression: "a is ${data.a}" }, { a: 1 })).toBe("a is 1");
    const expression = { twice: "${data.a * 2}", fixed: true };
    expect(evaluate("transform", { expression }, { a: 4 })).toEqual({ twice: 8, fixed: true });
  });

  it.each<[string, Json]>([
    ["data.text + '!'", "a ${ b!"],
    ["${data.text}", "a ${ b"],
    ["it is ${data.n} of ${data.n}", "it is 7 of 7"],
    ["Total => ${data.n}", "Total => 7"],
    ["'cost ${data.n}'", "'cost 7'"],
    ["cost $${data.n}", "cost ${data.n}"],
    ["data.text.contains('${')", true],
    ["data.text.split('${').size() + data.n", 9],
  ])("takes %s for what the compiler takes it for", (expression, expected) => {
    const nodes = [{ id: "t", type: "transform", config: { expression } }];
    const { ir, diagnostics } = compile({ document: { name: "w", nodes, edges: [] } });
    expect(diagnostics).toEqual([]);
    const node = ir?.nodes[0] ?? nodeOf("transform");
    const data = { text: "a ${ b", n: 7 };
    expect(evaluatePure(node, { data, input: {}, ctx: {} }, data)).toEqual(expected);
  });

  it("knows the named transformations", () => {
    const data = { t: " Ab ", n: null, l: [" x ", null] };
    const cases: [string, Json, Json][] = [
      ["identity", data, data],
      ["uppercase", { k: ["a", 1] }, { k: ["A", 1] }],
      ["lowercase", "Ab", "ab"],
      ["trim", data, { t: "Ab", n: null, l: ["x", null] }],
      ["normalize", data, { t: "Ab", l: ["x"] }],
      ["flatten", [1, [2, [3, []]], "a"], [1, 2, 3, "a"]],
      ["sort", [10, "b", 9, null, "a", true], [null, true, 9, 10, "a", "b"]],
      ["unique", [1, "1", { a: 1, b: 2 }, { b: 2, a: 1 }, 1], [1, "1", { a: 1, b: 2 }]],
      ["keys", { b: 1, a: 2 }, ["b", "a"]],
      ["values", { b: 1, a: 2 }, [1, 2]],
    ];
    for (const [transformation, input, output] of cases) {
      expect(evaluate("transform", { transformation }, input)).toEqual(output);
    }
  });

  it("leaves its input as it was", () => {
    const input = [3, 1, 2];
    evaluate("transform", { transformation: "sort" }, input);
    expect(input).toEqual([3, 1, 2]);
  });

  it("refuses what it cannot do, and says what it can", () => {
    expect(() => evaluate("transform", { transformation: "sort" }, {})).toThrow(refused);
    expect(() => evaluate("transform", { expression: "data.no" }, {})).toThrow(refused);
    expect(() => evaluate("transform", { transformation: "no" }, 1)).toThrow(/identity, uppercase/);
  });
});

describe("filter", () => {
  it("keeps the elements for which the condition holds", () => {
    const filter_expression = "value.n > input.limit && index < 3.0";
    const data = [{ n: 1 }, { n: 3 }, { n: 4 }, { n: 5 }];
    expect(evaluate("filter", { filter_expression }, data)).toEqual([{ n: 3 }, { n: 4 }]);
  });

  it("takes its list from config.items", () => {
    const config = { items: "${data.rows}", filter_expression: "value != 2" };
    expect(evaluate("filter", config, { rows: [1, 2, 3] })).toEqual([1, 3]);
  });

  it("refuses an input that is no list, and names the element that has no answer", () => {
    const config = { filter_expression: "value.n > 1" };
    expect(() => evaluate("filter", config, { n: 1 })).toThrow(/config\.items/);
    expect(() => evaluate("filter", config, [{ n: 2 }, {}])).toThrow(/element 1/);
  });
});

describe("aggregate", () => {
  const joined = { b: { x: 1, y: 1 }, a: { y: 2 } };

  it("merges, collects and concatenates in the order of the in-edges", () => {
    const of = (strategy: string, data: Json): Json => evaluate("aggregate", { strategy }, data);
    expect(of("merge", joined)).toEqual({ x: 1, y: 2 });
    expect(of("collect", joined)).toEqual([{ x: 1, y: 1 }, { y: 2 }]);
    expect(of("concat", { b: [1, 2], a: [2, 3], c: 4 })).toEqual([1, 2, 2, 3, 4]);
    expect(of("union", { b: [1, 2], a: [2, 3] })).toEqual([1, 2, 3]);
    expect(evaluate("aggregate", {}, joined)).toEqual([{ x: 1, y: 1 }, { y: 2 }]);
    expect(() => of("merge", { a: 1 })).toThrow(refused);
  });

  it("computes over a field, and passes over what is missing", () => {
    const rows = [
      { p: { v: 2 }, g: "a" },
      { p: { v: 4 }, g: 1 },
      { p: {}, g: "a" },
    ];
    const of = (operation: string): Json =>
      evaluate("aggregate", { operation, field: "p.v" }, rows);
    expect(["sum", "avg", "min", "max", "count"].map(of)).toEqual([6, 3, 2, 4, 2]);
    const grouped = evaluate("aggregate", { operation: "group_by", field: "g" }, rows);
    expect(grouped).toEqual({ a: [rows[0], rows[2]], "1": [rows[1]] });
  });

  it("passes over null where the values themselves are taken", () => {
    const of = (operation: string): Json => evaluate("aggregate", { operation }, [1, null, 2]);
    expect(["sum", "avg", "min", "max", "count"].map(of)).toEqual([3, 1.5, 1, 2, 2]);
  });

  it("groups by the text of a value: null, missing and the text null are one", () => {
    const rows = [{ g: null }, {}, { g: "null" }, { g: 1 }, { g: "1" }];
    const grouped = evaluate("aggregate", { operation: "group_by", field: "g" }, rows);
    expect(grouped).toEqual({ null: rows.slice(0, 3), "1": rows.slice(3) });
  });

  it.each(["sum", "avg"])("refuses a %s that no number holds", (operation) => {
    const of = (data: Json): Json => evaluate("aggregate", { operation }, data);
    expect(() => of([1e308, 1e308])).toThrow(refused);
    expect(() => of([-1e308, -1e308])).toThrow(/more than a number can hold/);
    expect(of([1e308, -1e308])).toBe(0);
  });

  it("takes its values from config.items", () => {
    const config = { items: "${data.rows}", operation: "sum" };
    expect(evaluate("aggregate", config, { rows: [1, 2] })).toBe(3);
  });

  it("has an answer for nothing", () => {
    const of = (operation: string): Json => evaluate("aggregate", { operation }, []);
    expect(["sum", "avg", "min", "max", "count"].map(of)).toEqual([0, null, null, null, 0]);
  });

  it("refuses values that cannot be added, and operations that do not exist", () => {
    expect(() => evaluate("aggregate", { operation: "sum" }, [1, "2"])).toThrow(refused);
    expect(() => evaluate("aggregate", { operation: "min" }, [1, "2"])).toThrow(refused);
    expect(() => evaluate("aggregate", { operation: "median" }, [1])).toThrow(/sum, avg/);
  });
});

describe("delay", () => {
  const now = Date.parse("2030-01-01T00:00:00Z");
  const wait = (config: Config, data: Json = null): number =>
    delayOf(nodeOf("delay", config), { data }, now);

  it("waits for milliseconds, a duration, or until a moment", () => {
    expect(wait({ delay_ms: 1500 })).toBe(1500);
    expect(wait({ delay_ms: "${data * 2}" }, 10)).toBe(20);
    expect(wait({ duration: "PT1H30M" })).toBe(5_400_000);
    expect(wait({ duration: "P1DT0.5S" })).toBe(86_400_500);
    expect(wait({ until: "2030-01-01T01:00:00+00:30" })).toBe(1_800_000);
    expect(wait({ until: "2029-01-01" })).toBe(0);
  });

  it("refuses what has no fixed length or no zone", () => {
    const configs = [
      { duration: "P1M" },
      { duration: "PT" },
      { until: "2030-01-01T00:00" },
      { until: "2030-02-30T00:00:00Z" },
      {},
    ];
    for (const config of [...configs, { delay_ms: -1 }, { delay_ms: "soon" }]) {
      expect(() => wait(config as Config)).toThrow(refused);
    }
  });
});
