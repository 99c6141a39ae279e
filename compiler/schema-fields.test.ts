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
