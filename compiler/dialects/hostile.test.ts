/** A file may hold anything: the front ends report, and never throw or take long. */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compile } from "../index.ts";
import type { Json } from "../index.ts";

const folder = new URL("../../test_data/dialects/", import.meta.url);

const FILES: Json[] = ["steps", "states", "graph", "asl"].flatMap((dialect) =>
  readdirSync(new URL(`${dialect}/valid/`, folder))
    .filter((name) => name.endsWith(".json"))
    .map(
      (name) =>
        JSON.parse(readFileSync(new URL(`${dialect}/valid/${name}`, folder), "utf8")) as Json,
    ),
);

const ODD: Json[] = [
  null,
  true,
  -1,
  1e300,
  "",
  "$",
  "$.",
  "States.",
  "{{prev.output",
  [],
  {},
  [[]],
];
const odd = fc.oneof(fc.constantFrom(...ODD), fc.string(), fc.jsonValue() as fc.Arbitrary<Json>);

/** `value` with one of its parts replaced, or taken away; `at` picks which. */
function changed(value: Json, at: number, part: Json | undefined): Json {
  let count = 0;
  const visit = (some: Json): Json => {
    if (count++ === at && part !== undefined) return part;
    if (Array.isArray(some)) return some.map(visit);
    if (typeof some !== "object" || some === null) return some;
    return Object.fromEntries(
      Object.entries(some).flatMap(([key, item]): [string, Json][] =>
        part === undefined && count === at ? (count++, []) : [[key, visit(item)]],
      ),
    );
  };
  return visit(value);
}

describe("a damaged file", () => {
  it("is refused or compiled, and every error has its place", () => {
    const file = fc.constantFrom(...FILES);
    const where = fc.nat(120);
    fc.assert(
      fc.property(
        file,
        where,
        fc.option(odd, { nil: undefined }),
        where,
        odd,
        (some, a, b, c, d) => {
          const document = changed(changed(some, a, b), c, d);
          const text = JSON.stringify(document, null, 1);
          const { ir, diagnostics } = compile({ text, format: "json" });
          expect(ir === null).toBe(diagnostics.some(({ severity }) => severity === "error"));
          for (const { line } of diagnostics)
            expect(line).toBeLessThanOrEqual(text.split("\n").length);
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe("a hostile file", () => {
  const pass = (expression: string): Json => ({
    StartAt: "A",
    States: { A: { Type: "Pass", Parameters: { "x.$": expression }, End: true } },
  });

  it.each<[string, Json]>([
    ["calls in one another", pass("States.Array(".repeat(5000))],
    ["an unclosed path", pass(`States.Array($[${"'a'".repeat(5000)})`)],
    ["quotes", pass(`States.Array($[${"'".repeat(5001)})`)],
    ["a long path", pass(`$${".a".repeat(50_000)}`)],
    ["blanks in a filter", pass(`$.a[?(${" ".repeat(4000)})]`)],
    [
      "a long duration",
      { name: "x", steps: [{ id: "a", type: "noop", timeout: "1m".repeat(50_000) + "x" }] },
    ],
  ])("%s are refused at once", (_, document) => {
    const start = performance.now();
    expect(compile({ document }).ir).toBeNull();
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it("cycles in one another are refused", () => {
    const count = 60;
    const names = Array.from({ length: count }, (_, i) => `S${i}`);
    const States = Object.fromEntries([
      ...names.map((name, i): [string, Json] => [
        name,
        { Type: "Pass", Next: names[i + 1] ?? "Q59" },
      ]),
      ...names.map((name, i): [string, Json] => [
        `Q${i}`,
        {
          ...{
            Type: "Choice",
            Comment: "max_iterations: 2",
            Default: i === 0 ? "End" : `Q${i - 1}`,
          },
          Choices: [{ Variable: "$.x", IsNull: true, Next: name }],
        },
      ]),
      ["End", { Type: "Succeed" }],
    ]);
    const { diagnostics } = compile({ document: { StartAt: "S0", States } });
    expect(diagnostics.map(({ code }) => code)).toContain("GV2017");
  });

  it("keys such as __proto__ are data", () => {
    const text = `{"name": "x", "configs": {"c": {"function_name": "f", "__proto__": {"x": 1}}},
      "nodes": [{"id": "a", "type": "task", "config_ref": "c"}]}`;
    const { ir } = compile({ text });
    expect(JSON.stringify(ir?.nodes[0]?.config)).toContain('"__proto__":{"x":1}');
  });
});
