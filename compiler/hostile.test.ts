/**
 * Files that are made to hurt. Bounded by what comes out and by the limits that stop them, not by a
 * clock; a rule that is quadratic in a megabyte would run into the limit of the test itself.
 */
import { describe, expect, it } from "vitest";
import { compile } from "./index.ts";
import { REPORTED_MAX } from "./diagnostics.ts";

const MANY = 450_000;
const ids = (n: number): { id: string; type: string }[] =>
  Array.from({ length: n }, (_, i) => ({ id: `node${i}`, type: "noop" }));
const withParams = (params: unknown): string =>
  JSON.stringify({
    name: "w",
    nodes: [{ id: "a", type: "function", config: { function_name: "f", params } }],
  });

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
    const nodes = ids(5000).map((node) => ({ ...node, type: "http", config: { url: "u", x: 1 } }));
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
  it("half a character is no reason to fail", () => {
    const text = '{"name":"\\ud800","nodes":[{"id":"a","type":"noop","description":"\\udc00"}]}';
    expect(compile({ text }).ir).not.toBeNull();
  });

  it("bytes that are not UTF-8 are refused at their place", () => {
    const bytes = Buffer.concat([Buffer.from("name: w\nnodes: ["), Buffer.from([0xff, 0xfe])]);
    const { diagnostics } = compile({ text: bytes.toString("utf8"), file: "w.yaml" });
    expect(diagnostics).toMatchObject([{ code: "GV1001", line: 2, column: 9 }]);
  });
});
