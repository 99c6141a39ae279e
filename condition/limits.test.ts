/** What docs/limits.md says of expressions is what holds: the figures of its table, in order. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { OUTPUT_BYTES_MAX } from "../worker/output-text.ts";
import { checkExpression, compileExpression } from "./index.ts";
import * as limits from "./limits.ts";

const page = readFileSync(new URL("../docs/limits.md", import.meta.url), "utf8");
const table = page.slice(page.indexOf("| of one expression |")).split("\n\n")[0] ?? "";
const numbersIn = (text: string): number[] =>
  [...text.matchAll(/\d[\d,]*/g)].map(([digits]) => Number(digits.replaceAll(",", "")));

const problemOf = (source: string): string | undefined =>
  checkExpression(source, { variables: new Set(["data"]) })[0]?.kind;

describe("the limits of an expression", () => {
  it("are those of docs/limits.md", () => {
    const rows = table.split("\n").slice(2).map(numbersIn);
    expect(rows.flat().filter((figure) => figure !== 3002)).toEqual([
      limits.SOURCE_LENGTH_MAX,
      limits.AST_NODES_MAX,
      limits.DEPTH_MAX,
      limits.LITERAL_ELEMENTS_MAX,
      limits.ARGUMENTS_MAX,
      limits.MACRO_DEPTH_MAX,
      limits.CHARACTERS_PER_UNIT,
      limits.ELEMENTS_PER_UNIT,
      limits.KEYS_PER_UNIT,
      limits.MATCHED_CHARACTERS_PER_UNIT,
      limits.WORK_UNITS_MAX,
      limits.RESULT_SIZE_MAX,
      limits.RANGE_MAX,
    ]);
  });

  it("of its text, parts, depth, lists, arguments and macros are asked when it is compiled", () => {
    const list = (count: number): string => `[${Array(count).fill("1").join(",")}]`;
    const parts = (count: number): string => Array(count).fill("1").join("+");
    const within = [
      `'${"x".repeat(limits.SOURCE_LENGTH_MAX - 2)}'`,
      list(limits.LITERAL_ELEMENTS_MAX),
      parts(limits.AST_NODES_MAX / 2),
      "data.all(a, a.all(b, b))",
    ];
    const over = [
      `'${"x".repeat(limits.SOURCE_LENGTH_MAX - 1)}'`,
      list(limits.LITERAL_ELEMENTS_MAX + 1),
      parts(limits.AST_NODES_MAX / 2 + 1),
      "data.all(a, a.all(b, b.all(c, c)))",
      `${"(".repeat(limits.DEPTH_MAX + 1)}1${")".repeat(limits.DEPTH_MAX + 1)}`,
      `merge(${Array(limits.ARGUMENTS_MAX + 1)
        .fill("1")
        .join(",")})`,
    ];
    expect(within.map(problemOf)).toEqual(within.map(() => undefined));
    expect(over.map(problemOf)).toEqual(over.map(() => "limit"));
  });

  it("of its result let everything pass that may be an output", () => {
    expect(limits.RESULT_SIZE_MAX).toBe(OUTPUT_BYTES_MAX);
    const text = "x".repeat(limits.RESULT_SIZE_MAX - 10);
    const wrapped = compileExpression("{'t': data}");
    expect(wrapped.evaluate({ data: text })).toEqual({ t: text });
    expect(() => wrapped.evaluate({ data: `${text}${text}` })).toThrow(
      "the result is too large: over 16,777,216 values and characters",
    );
  });
});
