import { describe, expect, it } from "vitest";
import { compile } from "./index.ts";
import type { Json } from "./index.ts";
import { fieldOf, typesOf } from "./schema-fields.ts";

const CLOSED: Json = {
  type: "object",
  properties: {
    total: { type: "integer" },
    lines: { type: "array", items: { $ref: "#/$defs/line" } },
    free: { anyOf: [{ type: "string" }, { type: "number" }] },
  },
  additionalProperties: false,
  $defs: { line: { type: "object", properties: { sku: {} }, additionalProperties: false } },
};

describe("a field of a schema", () => {
  it("is found through lists and references, and missing only where an object is closed", () => {
    expect(fieldOf(CLOSED, ["total"])).toEqual({ kind: "found", schema: { type: "integer" } });
    expect(fieldOf(CLOSED, ["lines", "0", "sku"]).kind).toBe("found");
    expect(fieldOf(CLOSED, ["lines", "0", "sk"])).toEqual({
      kind: "missing",
      at: 2,
      known: ["sku"],
    });
    expect(fieldOf({ type: "object", properties: {} }, ["any"])).toEqual({ kind: "open" });
    expect(fieldOf(CLOSED, ["free", "length"])).toEqual({ kind: "open" });
    expect(fieldOf(null, ["any"])).toEqual({ kind: "open" });
  });

  it("has the types that its schema names, or none that are known", () => {
    expect(typesOf({ type: ["integer", "null"] })).toEqual(new Set(["number", "null"]));
    expect(typesOf({ enum: [1, "a"] })).toEqual(new Set(["number", "string"]));
    expect(typesOf({})).toBeUndefined();
  });
});

function codes(nodes: Json[], edges: Json[], more: { [key: string]: Json } = {}): string[] {
  const { diagnostics } = compile({ document: { name: "w", nodes, edges, ...more } });
  return diagnostics.map(({ code, message }) => `${code} ${message.split(",")[0]}`);
}

const work = { type: "function", config: { function_name: "f" }, output_schema: CLOSED };

describe("schemas of nodes", () => {
  it("are handed on by nodes that only steer, also that of the run's input", () => {
    const nodes = [
      { id: "c", type: "conditional" },
      { id: "a", type: "noop" },
    ];
    const edges = [
      { from: "c", to: "a", condition: "output.totl > 1" },
      { from: "c", to: "a" },
    ];
    expect(codes(nodes, edges, { input_schema: CLOSED })).toEqual([
      "GV6001 `totl` is no field of the output of `c`",
    ]);
  });

  it("tell a misspelt field of an open object that lists its properties, and no other", () => {
    const open: Json = { type: "object", properties: { total: {}, ip: {}, line_1: {} } };
    const read = (path: string): Json => ({
      ...{ id: "a", type: "function" },
      config: { function_name: "f", params: { x: "${" + path + "}" } },
    });
    const told = (path: string): string[] => codes([read(path)], [], { input_schema: open });
    expect(told("input.totl")).toEqual([
      "GV6001 `totl` is not among the properties of the run's input",
    ]);
    const { diagnostics } = compile({
      document: { name: "w", nodes: [read("input.totl")], edges: [], input_schema: open },
    });
    expect(diagnostics[0]).toMatchObject({ severity: "warning", hint: "did you mean `total`?" });
    for (const path of ["input.total", "input.other", "input.id", "input.line_2"]) {
      expect(told(path)).toEqual([]);
    }
    expect(told("has(input.totl) ? input.totl : 0")).toEqual([]);
    const matched = { ...open, patternProperties: { "^t": {} } };
    expect(codes([read("input.totl")], [], { input_schema: matched })).toEqual([]);
    expect(codes([read("input.totl")], [], { input_schema: { anyOf: [open] } })).toEqual([]);
  });

  it("are there for what a kind always puts out: a decision, and a whole response", () => {
    const asked = (condition: string): string[] =>
      codes(
        [
          { id: "ask", type: "human", config: { title: "Ok?" } },
          { id: "yes", type: "conditional" },
          { id: "go", type: "noop" },
          { id: "no", type: "noop" },
        ],
        [
          { from: "ask", to: "yes" },
          { from: "yes", to: "go", condition },
          { from: "yes", to: "no" },
        ],
      );
    expect(asked("output.aproved")).toEqual([
      "GV6001 `aproved` is no field of the output of `yes`",
    ]);
    expect(asked("ctx.ask.output.aproved")).toEqual([
      "GV6001 `aproved` is no field of the output of `ask`",
    ]);
    expect(asked("output.approved && output.data.sum > 1")).toEqual([]);
    const answered = (output: string, path: string): string[] =>
      codes(
        [
          { id: "get", type: "http", config: { url: "http://x.example/", output } },
          { id: "end", type: "transform", config: { expression: path } },
        ],
        [{ from: "get", to: "end" }],
      );
    expect(answered("response", "data.statsu")).toEqual([
      "GV6001 `statsu` is no field of the node's input",
    ]);
    expect(answered("response", "data.body.statsu + data.headers['x']")).toEqual([]);
    expect(answered("body", "data.statsu")).toEqual([]);
  });

  it("say nothing of an error, nor of what null is compared with", () => {
    const nodes = [
      { id: "a", ...work },
      { id: "b", type: "noop" },
      { id: "e", type: "noop" },
    ];
    const edges = [
      { from: "a", to: "b", condition: "output.total != null" },
      { from: "a", to: "e", on: "error", condition: 'output.error.code == "X"' },
    ];
    expect(codes(nodes, edges)).toEqual([]);
  });

  it("are part of the IR, and have to be schemas", () => {
    const { ir } = compile({ document: { name: "w", nodes: [{ id: "a", ...work }] } });
    expect(ir?.nodes[0]?.output_schema).toEqual(CLOSED);
    const wrong = codes([{ id: "a", type: "noop", input_schema: { type: "text" } }], []);
    expect(wrong[0]).toMatch(/^GV1015 input_schema is no JSON Schema/);
  });
});

describe("a field that its schema does not require", () => {
  const asks = (config: Json, schema: Json): string[] =>
    codes([{ id: "a", type: "transform", config }], [], { input_schema: schema });
  const properties: Json = { total: {}, card: { type: "object", properties: { no: {} } } };
  const some: Json = { type: "object", properties, required: ["total"] };

  it("is told where it is read as if it were always there", () => {
    const told = "GV6004 `card` may be missing: the schema of the run's input does not require it";
    expect(asks({ expression: "input.card" }, some)).toEqual([told]);
    expect(asks({ expression: "data.card.no" }, some)).toHaveLength(1);
    expect(asks({ expression: "input.total" }, some)).toEqual([]);
  });

  it("may be asked for, and is not told where the schema requires nothing", () => {
    expect(asks({ expression: "has(input.card) ? input.card.no : 0" }, some)).toEqual([]);
    expect(asks({ expression: "input.?card.orValue(1)" }, some)).toEqual([]);
    expect(asks({ expression: "input.card" }, { type: "object", properties })).toEqual([]);
    expect(asks({ expression: "input.card" }, { ...some, required: [] })).toEqual([]);
  });
});
