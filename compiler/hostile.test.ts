/**
 * Files that are made to hurt. Bounded by what comes out and by the limits that stop them, not by a
 * clock; a rule that is quadratic in a megabyte would run into the limit of the test itself.
 */
import { describe, expect, it } from "vitest";
import { compileCondition } from "../condition/index.ts";
import { compile } from "./index.ts";
import { makeValidator, type UserValidator } from "./user-validator.ts";
import { REPORTED_MAX } from "./diagnostics.ts";

const MANY = 450_000;
const ids = (n: number): { id: string; type: string }[] =>
  Array.from({ length: n }, (_, i) => ({ id: `node${i}`, type: "noop" }));
const withParams = (params: unknown): string =>
  JSON.stringify({
    name: "w",
    nodes: [{ id: "a", type: "function", config: { function_name: "f", params } }],
  });

/** The same characters each time, of those that mean something. */
function noise(length: number): string {
  const marks = "abc:-{}[],&*!|>'\"%@` \n#?0123456789";
  let state = 12_345;
  let text = "";
  while (text.length < length) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    text += marks[Math.floor(state / 65_536) % marks.length] ?? "";
  }
  return text;
}

/** Each definition refers twice to the one before: 2^n places in the end. */
function doubling(n: number): object {
  const $defs = Object.fromEntries(
    Array.from({ length: n }, (_, i) => {
      const before = { $ref: `#/$defs/d${i - 1}` };
      return [`d${i}`, i === 0 ? { type: "null" } : { allOf: [before, before] }];
    }),
  );
  return { $defs, $ref: `#/$defs/d${n - 1}` };
}

/** A pattern that no linear-time engine takes, of a property with this name. */
const withPattern = (name: string): object => ({ properties: { [name]: { pattern: "(?=a)" } } });

const patterned = (n: number): [string, object][] =>
  Array.from({ length: n }, (_, i) => [`p${i}`, { pattern: `^[a-c${i}]{1,1000}$` }]);

function codes(text: string, file = "w.json"): string[] {
  return [...new Set(compile({ text, file }).diagnostics.map((d) => d.code))];
}

describe("a file that is made to hurt", () => {
  it.each([
    ["deep JSON", "[".repeat(MANY), "w.json", "GV1007"],
    ["deep YAML in brackets", "[".repeat(MANY), "w.yaml", "GV1007"],
    ["deep YAML in one line", "- ".repeat(MANY), "w.yaml", "GV1007"],
    ["a hundred thousand aliases", `a: &a 1\nb: [${"*a,".repeat(100_000)}]`, "w.yaml", "GV1009"],
    ["a template that is never closed", withParams("${".repeat(MANY)), "w.json", "GV3001"],
  ])("%s is refused by its limit", (_, text, file, code) => {
    expect(codes(text, file)).toEqual([code]);
  });

  it.each([
    ["a long string", withParams("x".repeat(1_000_000))],
    ["a string of many templates", withParams("${1}".repeat(20_000))],
    ["a string of opening braces", withParams("{{".repeat(MANY))],
  ])("%s is only that", (_, text) => {
    expect(codes(text)).toEqual([]);
  });

  it("a long list in one line is no deep one", () => {
    const list = ids(5000).map(({ id, type }) => `{id: ${id}, type: ${type}}`);
    expect(codes(`name: w\nnodes: [${list.join()}]`, "w.yaml")).toEqual([]);
  });

  // Seconds of the library's time each, if it had to read them to their end.
  it.each([
    ["noise", noise(1_000_000), "GV1003"],
    ["closing brackets", "]}".repeat(500_000), "GV1003"],
    ["empty lists", "[\n]\n".repeat(250_000), "GV1005"],
    ["directives", "%a\n".repeat(300_000), "GV1003"],
    ["tags", "- !!x y\n".repeat(120_000), "GV1005"],
    ["one key again and again", "? a\n".repeat(250_000), "GV1004"],
    ["a list of strings", "- a\n".repeat(250_000), "GV1005"],
    ["a list in brackets", `[${"a,".repeat(500_000)}]`, "GV1005"],
    ["block texts", "- |\n x\n".repeat(140_000), "GV1005"],
  ])("a megabyte of %s is refused by how it begins", (_, text, code) => {
    expect(codes(text, "w.yaml")).toContain(code);
  });

  it.each([
    ["spaces in a key", `a${" ".repeat(100_000)}b\n`],
    ["a text that is never closed", `a: "${"x ".repeat(50_000)}\n`],
    ["lists in lists", `${"- ".repeat(60)}a\n`.repeat(800)],
    ["brackets over many lines", `${"a: [\n 1,\n ]\n"}${" 1,\n".repeat(25_000)}`],
  ])("%s cost little where the text is wrong besides", (_, text) => {
    expect(
      codes(`name: w\nnodes:\n  - id: a\n    type: noop\n   type: x\n${text}`, "w.yaml"),
    ).toContain("GV1003");
    expect(codes(`${text}nodes:\n  - id: a\n   type: x\n`, "w.yaml").length).toBeGreaterThan(0);
  });

  it("a large file is read to its end before it is refused for a mistake that it ends with", () => {
    const lines = ids(9_000).map(({ id, type }) => `  - { id: ${id}, type: ${type} }`);
    const text = ["name: w", "nodes:", ...lines, "edges: ]"].join("\n");
    const { diagnostics } = compile({ text, file: "w.yaml" });
    expect(diagnostics[0]).toMatchObject({ code: "GV1003", line: 9_003 });
    const flow = `{name: w, nodes: [${ids(9_000)
      .map(({ id, type }) => `{id: ${id},\n type: ${type}}`)
      .join()}]}`;
    expect(codes(flow, "w.yaml")).toEqual([]);
  });

  it.each([
    ["that refers to itself", { $ref: "#" }],
    ["whose references double", doubling(30)],
    ["with a definition in a circle", { $defs: { a: { $ref: "#/$defs/a" } }, $ref: "#/$defs/a" }],
    ["with a circle in an element", { items: { anyOf: [{ $ref: "#/items" }] } }],
  ])("a schema %s for one value is refused", (_, input_schema) => {
    const { diagnostics } = compile({ document: { name: "w", nodes: ids(1), input_schema } });
    expect(diagnostics.map(({ code }) => code)).toEqual(["GV1015"]);
  });

  it.each([
    ["answers later", { $async: true }, "/$async"],
    ["answers later in a part", { properties: { a: { $async: true } } }, "/properties/a/$async"],
    ["refers by another id", { allOf: [{ $id: "y" }] }, "/allOf/0/$id"],
    ["refers to what is elsewhere", { $ref: "http://x/y" }, "/$ref"],
    ["refers to itself by its id", { $id: "y", allOf: [{ $ref: "y" }] }, ""],
    ["refers to itself by a name", { $anchor: "n", allOf: [{ $ref: "#n" }] }, ""],
    ["refers by scope", { $dynamicAnchor: "n", allOf: [{ $dynamicRef: "#n" }] }, "/allOf/0"],
    ["has a pattern at a property called default", withPattern("default"), "/properties/default"],
    ["has a pattern at a property called enum", withPattern("enum"), "/properties/enum"],
    ["has a limit of no format", { formatMinimum: "x" }, ""],
    ["has a limit of a format without order", { format: "email", formatMaximum: "x" }, ""],
  ])("a schema that %s is refused where it does", (_, input_schema, place) => {
    const { diagnostics } = compile({ document: { name: "w", nodes: ids(1), input_schema } });
    expect(diagnostics.map(({ code }) => code)).toEqual(["GV1015"]);
    expect(diagnostics[0]?.pointer).toContain(`/input_schema${place}`);
  });

  it("a name of a property, and what stands in a constant, is no keyword", () => {
    const names = ["$async", "$id", "$ref", "$dynamicRef", "pattern", "default", "enum"];
    const properties = Object.fromEntries(names.map((name) => [name, { type: "string" }]));
    const data = { pattern: "(?=a)", $async: true, $ref: "#/nowhere" };
    const input_schema = { properties, const: data, enum: [data], examples: [data], default: data };
    const { diagnostics } = compile({ document: { name: "w", nodes: ids(1), input_schema } });
    expect(diagnostics).toEqual([]);
  });

  it("a schema that comes back to itself for parts of the value is one of a tree", () => {
    const child = { $ref: "#" };
    const input_schema = { type: "object", properties: { left: child, right: child } };
    const { diagnostics } = compile({ document: { name: "w", nodes: ids(1), input_schema } });
    expect(diagnostics).toEqual([]);
  });

  it.each(["(a+)+$", "(a|a)*b", "(.*)*x", "^(([a-z])+.)+[A-Z]([a-z])+$"])(
    "the pattern %s matches in linear time, in a schema and in an expression",
    (pattern) => {
      const text = "a".repeat(50_000);
      const input_schema = { type: "object", properties: { s: { type: "string", pattern } } };
      expect(compile({ document: { name: "w", nodes: ids(1), input_schema } }).ir).not.toBeNull();
      const source = `output.s.matches(${JSON.stringify(pattern)})`;
      expect(() => compileCondition(source).test({ output: { s: `${text}!` } })).not.toThrow();
    },
  );

  // Hours, and all memory there is, if it were written out at each reference.
  it("a large schema that is referred to a thousand times is made once", () => {
    const part = (at: number): [string, object] => [`p${at}`, { maxLength: at, pattern: "^a" }];
    const many = Object.fromEntries(Array.from({ length: 800 }, (_, i) => part(i)));
    const refs = Array.from({ length: 1000 }, (_, i) => [`q${i}`, { $ref: "#/$defs/many" }]);
    const input_schema = {
      $defs: { many: { properties: many } },
      properties: Object.fromEntries(refs) as object,
    };
    const { ir } = compile({ document: { name: "w", nodes: ids(1), input_schema } });
    const validate = makeValidator(ir?.input_schema ?? null) as UserValidator;
    expect(validate({ q999: { p5: "aaaaaa" } })).toMatchObject([{ path: "/q999/p5" }]);
    expect(validate({ q999: { p5: "aaaaa" } })).toEqual([]);
  });

  it.each([
    ["many repeats", { pattern: "a{1000}".repeat(40) }, { pattern: "a{1000}".repeat(5000) }],
    ["repeats of repeats", { pattern: "((a{9}){9}){9}" }, { pattern: "((((a{9}){9}){9}){9}){9}" }],
    [
      "many patterns of a few",
      { properties: Object.fromEntries(patterned(40)) as object },
      { properties: Object.fromEntries(patterned(60)) as object },
    ],
    [
      "names with repeats",
      { patternProperties: { "a{1000}": true } },
      { patternProperties: { [`${"b{900}".repeat(60)}`]: true } },
    ],
  ])("a schema with %s is refused before they are written out", (_, fine, large) => {
    const codesOf = (input_schema: object): string[] =>
      compile({ document: { name: "w", nodes: ids(1), input_schema } }).diagnostics.map(
        ({ code, message }) => `${code} ${/steps/.exec(message)?.[0] ?? message}`,
      );
    expect(codesOf(fine)).toEqual([]);
    expect(codesOf(large)).toEqual(["GV1015 steps"]);
  });

  it("a pattern of an expression is no larger than that", () => {
    const codesOf = (pattern: string): string[] => {
      const nodes = [...ids(2)];
      const condition = `output.s.matches("${pattern}")`;
      const edges = [{ from: "node0", to: "node1", condition }];
      return compile({ document: { name: "w", nodes, edges } }).diagnostics.map((d) => d.message);
    };
    expect(codesOf("a{1000}".repeat(9)).filter((told) => told.includes("steps"))).toEqual([]);
    expect(codesOf("a{1000}".repeat(11))).toMatchObject([expect.stringContaining("11011 steps")]);
    const computed = compileCondition("'b'.matches(output.p)");
    expect(() => computed.test({ output: { p: "a{1000}".repeat(11) } })).toThrow("not a valid");
  });

  it("a pattern that cannot be matched in linear time is refused", () => {
    const input_schema = { type: "string", pattern: "(a)\\1" };
    const { diagnostics } = compile({ document: { name: "w", nodes: ids(1), input_schema } });
    expect(diagnostics.map(({ code }) => code)).toEqual(["GV1015"]);
  });

  it("ten thousand errors are counted, and a bounded number is kept", () => {
    const nodes = ids(10_000).map((node) => ({ ...node, type: "nop" }));
    const { ir, diagnostics, more } = compile({ document: { name: "w", nodes } });
    expect(ir).toBeNull();
    expect(diagnostics).toHaveLength(REPORTED_MAX);
    expect(more).toBe(10_000 - REPORTED_MAX);
  });

  it("misspelt ids by the thousand do not compare each with each", () => {
    const edges = Array.from({ length: 5000 }, (_, i) => ({ from: `nope${i}`, to: `nodf${i}` }));
    const { diagnostics } = compile({ document: { name: "w", nodes: ids(5000), edges } });
    expect(diagnostics).toHaveLength(REPORTED_MAX);
  });

  it("warnings never crowd out errors", () => {
    const nodes = ids(5000).map((node) => ({
      ...node,
      type: "http",
      config: { url: "http://u", x: 1 },
    }));
    const bad = { id: "bad", type: "functoin" };
    const { diagnostics } = compile({ document: { name: "w", nodes: [...nodes, bad] } });
    expect(diagnostics.some((d) => d.code === "GV4001")).toBe(true);
  });

  it("a schema whose validator would take seconds to make is refused", () => {
    const input_schema = { anyOf: Array.from({ length: 20_000 }, (_, i) => ({ const: i })) };
    const { diagnostics } = compile({ document: { name: "w", nodes: ids(1), input_schema } });
    expect(diagnostics.map((d) => d.code)).toEqual(["GV1015"]);
  });
});

describe("names of the language below", () => {
  const names = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty"];

  it("are ids like any other", () => {
    const nodes = names.map((id) => `{"id":"${id}","type":"noop"}`).join();
    const edges = names.slice(1).map((to, i) => `{"from":"${names[i]}","to":"${to}"}`);
    const { ir } = compile({ text: `{"name":"w","nodes":[${nodes}],"edges":[${edges.join()}]}` });
    expect(ir?.nodes.map((node) => node.id)).toEqual(names);
  });

  it.each(names)("%s is an unknown property, wherever it stands", (name) => {
    const node = `{"id":"a","type":"noop","retry":{"${name}":{"x":1}},"${name}":{"x":1}}`;
    const text = `{"name":"w","nodes":[${node}],"${name}":{"x":1}}`;
    const found = compile({ text }).diagnostics.filter((d) => d.code === "GV1011");
    expect(found.map((d) => d.pointer)).toEqual([
      `/nodes/0/retry/${name}`,
      `/nodes/0/${name}`,
      `/${name}`,
    ]);
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  it("are kept as parameters", () => {
    const { ir } = compile({ text: withParams(1).replace("1}", '{"__proto__":{"x":1}}}') });
    expect(JSON.stringify(ir?.nodes[0]?.config)).toContain('"__proto__":{"x":1}');
  });
});

describe("text of odd encodings", () => {
  // A text of Postgres has neither, so no run could be kept.
  it.each([
    ["half a character", "\\ud800"],
    ["the other half", "x\\udc00\\udc00"],
    ["U+0000", "x\\u0000"],
  ])("%s is refused at its place, as a value and as a key", (_, odd) => {
    const nodes = `[{"id":"a","type":"noop","description":"${odd}"}]`;
    const text = `{"name":"w",\n"nodes":${nodes},\n"output":{"${odd}":["ok","${odd}"]}}`;
    const { diagnostics } = compile({ text });
    expect(diagnostics.map(({ code, line }) => [code, line])).toEqual([
      ["GV1010", 2],
      ["GV1010", 3],
      ["GV1010", 3],
    ]);
    expect(diagnostics[0]?.pointer).toBe("/nodes/0/description");
  });

  it("a whole character of two halves is one like any other", () => {
    const text = '{"name":"\\ud83d\\ude00 \u00e9","nodes":[{"id":"a","type":"noop"}]}';
    expect(compile({ text }).diagnostics).toEqual([]);
  });

  it.each([
    ["a name of many characters", { name: "n".repeat(151) }, "/name"],
    ["a name that reads as a reference", { name: "w@1" }, "/name"],
    ["a name of two lines", { name: "a\nb" }, "/name"],
    ["a version of many characters", { version: "1".repeat(101) }, "/version"],
    ["a version in which a reference would end", { version: "1@2" }, "/version"],
    ["a tag of many characters", { tags: ["ok", "t".repeat(101)] }, "/tags/1"],
    ["a tag with a tabulator", { metadata: { tags: ["a\tb"] } }, "/metadata/tags/0"],
  ])("%s is refused: no run could be stored or found by it", (_, more, pointer) => {
    const { diagnostics } = compile({ document: { name: "w", nodes: ids(1), ...more } });
    expect(diagnostics).toMatchObject([{ code: "GV1013", pointer }]);
  });

  it("the longest name with the longest version is a reference", () => {
    const document = { name: "n".repeat(150), version: "1".repeat(100), nodes: ids(1) };
    expect(compile({ document }).diagnostics).toEqual([]);
  });

  it("bytes that are not UTF-8 are refused at their place", () => {
    const bytes = Buffer.concat([Buffer.from("name: w\nnodes: ["), Buffer.from([0xff, 0xfe])]);
    const { diagnostics } = compile({ text: bytes.toString("utf8"), file: "w.yaml" });
    expect(diagnostics).toMatchObject([{ code: "GV1001", line: 2, column: 9 }]);
  });
});
