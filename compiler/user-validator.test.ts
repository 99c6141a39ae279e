/** Validators of schemas that authors write, on data that strangers send. */
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Json } from "./ir.ts";
import { findUserSchemaProblem } from "./user-schema.ts";
import { makeValidator, type DataProblem } from "./user-validator.ts";

function problems(schema: Json, value: Json): DataProblem[] {
  const validate = makeValidator(schema);
  if (typeof validate === "string") throw new Error(validate);
  return validate(value);
}

/** `{a: {a: … 1}}` */
function deep(depth: number, key = "a", more: { [key: string]: Json } = {}): Json {
  let value: Json = 1;
  for (let i = 0; i < depth; i++) value = { ...more, [key]: value };
  return value;
}

const TOO_LONG = [{ path: "", message: expect.stringContaining("takes too long to check") }];

afterEach(() => vi.restoreAllMocks());

describe("a validator", () => {
  it("says all that is wrong, each at its place", () => {
    const number = { type: "number" };
    const schema = { type: "object", properties: { a: number, b: number }, required: ["c"] };
    expect(problems(schema, { a: 1, b: 1, c: 1 })).toEqual([]);
    expect(problems(schema, { a: "x", b: "y" })).toEqual([
      { path: "", message: "must have required property 'c'" },
      { path: "/a", message: "must be number" },
      { path: "/b", message: "must be number" },
    ]);
  });

  it("of a schema that answers later, as of one that was published once, answers at once", () => {
    const schema = { $async: true, type: "object", required: ["a"] };
    expect(problems(schema, { a: 1 })).toEqual([]);
    expect(problems(schema, 5)).toEqual([{ path: "", message: "must be object" }]);
  });

  it("of a schema that never ends, as of one that was published once, says so of the data", () => {
    for (const schema of [
      { $id: "y", allOf: [{ $ref: "y" }] },
      { $dynamicAnchor: "n", allOf: [{ $dynamicRef: "#n" }] },
      { $ref: "#" },
    ]) {
      expect(problems(schema, 1)).toHaveLength(1);
    }
  });

  it("follows what a schema says of properties that others have looked at", () => {
    const $defs = { a: { properties: { a: { type: "string" } } } };
    const schema = { $defs, $ref: "#/$defs/a", unevaluatedProperties: false };
    expect(problems(schema, { a: "x" })).toEqual([]);
    expect(problems(schema, { a: "x", b: 1 })).toHaveLength(1);
  });

  it("knows formats and the schema of schemas", () => {
    expect(problems({ format: "date", formatMinimum: "2020-01-01" }, "2019-12-31")).toHaveLength(1);
    const meta = { $ref: "https://json-schema.org/draft/2020-12/schema" };
    expect(problems(meta, { type: "string" })).toEqual([]);
    expect(problems(meta, { type: "text" })).not.toEqual([]);
  });
});

describe("data that would cost more to check than there is", () => {
  const part = { properties: { a: { $ref: "#" } } };
  const four = { allOf: [part, part, part, part] };

  it("are told so: a schema that looks four times at each part, at any depth", () => {
    expect(findUserSchemaProblem(four)).toBeUndefined();
    expect(problems(four, deep(6))).toEqual([]);
    for (const depth of [20, 60]) expect(problems(four, deep(depth))).toEqual(TOO_LONG);
  });

  const times = (n: number, make: (i: number) => Json): Json =>
    Array.from({ length: n }, (_, i) => make(i));

  it.each([
    [
      "elements",
      { items: { allOf: times(200, () => ({ $ref: "#/$defs/a" })) } },
      times(100_000, () => 1),
    ],
    [
      "patterns of a text",
      { anyOf: times(20, (i) => ({ pattern: `[ab]{${i}}c$` })) },
      "a".repeat(200_000),
    ],
    ["lengths of a text", { anyOf: times(400, () => ({ maxLength: 1 })) }, "a".repeat(500_000)],
    [
      "keys",
      { anyOf: times(100, () => ({ propertyNames: { const: "x" } })) },
      Object.fromEntries(times(40_000, (i) => [`k${i}`, 1]) as []),
    ],
    [
      "wrong elements",
      { title: "long".repeat(2000), items: { type: "null" } },
      times(200_000, () => 1),
    ],
  ])("are told so: %s", (_, schema, value) => {
    const whole = { $defs: { a: { type: ["number", "string"], minimum: 0 } }, ...schema } as Json;
    expect(problems(whole, value)).toEqual(TOO_LONG);
  });

  it("are not those of an ordinary tree of expressions", () => {
    const n = { $ref: "#/$defs/n" };
    const binary = (op: string): Json => {
      const properties = { op: { const: op }, l: n, r: n };
      return { type: "object", properties, required: ["op", "l", "r"] };
    };
    const not = {
      type: "object",
      properties: { op: { const: "not" }, l: n },
      required: ["op", "l"],
    };
    const oneOf = [binary("and"), binary("or"), not, { type: "number" }];
    const tree = { $defs: { n: { oneOf } }, ...n } as Json;
    expect(problems(tree, deep(200, "l", { op: "not" }))).toEqual([]);
    expect(problems(tree, deep(200, "l", { op: "no" }))).not.toEqual([]);
  });

  it("are not the largest output that a node may have", () => {
    const many = Array(8_000_000).fill(1) as Json;
    expect(problems({ type: "array", items: { type: "number" } }, many)).toEqual([]);
  });

  it("nested more deeply than can be followed are told so", () => {
    expect(problems(part, deep(100_000))).toEqual([{ path: "", message: "is nested too deeply" }]);
  });
});

describe("uniqueItems", () => {
  const schema = { uniqueItems: true };

  it("goes through a long list once", () => {
    const list = Array.from({ length: 90_000 }, (_, i) => ({ i }));
    expect(problems(schema, list)).toEqual([]);
    expect(problems(schema, [...list, { i: 0 }])).toHaveLength(1);
  });

  it("compares values, not spellings", () => {
    expect(
      problems(schema, [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ]),
    ).toHaveLength(1);
    expect(problems(schema, [1, "1", [1], null, false, 0, ""])).toEqual([]);
    expect(problems({ uniqueItems: false }, [1, 1])).toEqual([]);
  });
});

describe("many schemas of one file", () => {
  const made = (schemas: Json[]): { compiled: number; metas: number } => {
    const compiled = vi.spyOn(Ajv2020.prototype, "compile");
    const metas = vi.spyOn(Ajv2020.prototype, "addMetaSchema");
    for (const schema of schemas) expect(findUserSchemaProblem(schema)).toBeUndefined();
    return { compiled: compiled.mock.calls.length, metas: metas.mock.calls.length };
  };

  it("are made once each, and the schema of schemas once for all", () => {
    findUserSchemaProblem({ title: "the first" });
    const schemas = Array.from({ length: 50 }, (_, i) => ({ title: `one of many ${i}` }));
    expect(made(schemas)).toEqual({ compiled: 50, metas: 0 });
    vi.restoreAllMocks();
    expect(made(schemas)).toEqual({ compiled: 0, metas: 0 });
  });
});
