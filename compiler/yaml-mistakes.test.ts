/** Mistakes in YAML as people make them: what is said, where, and what to do. */
import { describe, expect, it } from "vitest";
import { compile } from "./index.ts";

function said(text: string): string[] {
  const { diagnostics } = compile({ text, file: "w.yaml" });
  return diagnostics
    .filter(({ code }) => code === "GV1003")
    .map(({ line, column, message, hint }) => `${line}:${column} ${message} | ${hint}`);
}

const HEAD = "name: w\nnodes:\n  - id: a\n    type: noop\n";

describe("indentation that fits nothing is told once, with the column", () => {
  it.each([
    [
      "a key one column too far left",
      `${HEAD}  - id: b\n   type: function\n    config: { x: 1 }\nedges: []\n`,
      "6:4 `type` begins in column 4, where nothing else does: `id` in line 5 begins in column 5 " +
        "| what stands beside `id` begins in column 5",
    ],
    [
      "a key one column too far right",
      "nodes:\n  - id: a\n     type: noop\n",
      "3:6 `type` is indented under `id`, which has a value of its own " +
        "| what stands beside `id` begins in column 5",
    ],
    [
      "a key below another's value",
      `${HEAD}      config: { x: 1 }\n`,
      "5:7 `config` is indented under `type`, which has a value of its own " +
        "| what stands beside `type` begins in column 5",
    ],
    [
      "`edges` among the nodes",
      `${HEAD}  edges:\n  - from: a\n    to: b\n`,
      "5:3 `edges` stands in column 3, among the items of `nodes` " +
        "| what stands beside `nodes` begins in column 1",
    ],
    [
      "an item beside no other",
      `${HEAD} - id: b\n   type: noop\n`,
      "5:2 `-` begins in column 2, where nothing else does: `-` in line 3 begins in column 3 " +
        "| what stands beside `-` begins in column 3",
    ],
    [
      "a key between two levels, behind texts and brackets over several lines",
      `name: w\ndescription: |\n  any: thing\n   at: all\nnodes:\n  - { id: a,\n    type: noop }\n` +
        "  - id: b\n    # a remark\n    config:\n      a: 1\n     b: 2\n",
      "12:6 `b` begins in column 6, where nothing else does: `a` in line 11 begins in column 7 " +
        "| what stands beside `a` begins in column 7",
    ],
    [
      "the first line",
      ` ${HEAD}edges: []\n`,
      "2:1 `nodes` begins in column 1, where nothing else does: `name` in line 1 begins in column 2 " +
        "| what stands beside `name` begins in column 2",
    ],
    [
      "no space behind a dash",
      "nodes:\n  -id: a\n   type: noop\n",
      "2:3 `-id` is a key, and no item of a list | put a space behind the `-`",
    ],
    [
      "no space behind a colon",
      "nodes:\n  - id:a\n    type: noop\n",
      "3:5 `type` is indented under `id:a`, which is a text | put a space behind its `:`",
    ],
  ])("%s", (_, text, expected) => {
    expect(said(text)).toEqual([expected]);
  });
});

describe("other mistakes", () => {
  it.each([
    ["name: order: large\n", "1:7 a second `: ` in one value: it is read as another key"],
    [`${HEAD}  - { id: b, config: { expression: a ? 'x' : "y" } }\n`, "`? ` and `- ` begin a key"],
    [
      `${HEAD}  - { id: b, type: noop\nedges: []\n`,
      "a `{` before is never closed | close it with `}`",
    ],
    [`${HEAD}\t- id: b\n`, "5:1 tabs cannot indent YAML | use spaces"],
  ])("%j", (text, expected) => {
    expect(said(text)[0]).toContain(expected);
  });

  it("are none in a file that is right", () => {
    expect(
      said("a:\n- b\n- c: 1\n  d:\n  - e\nf: 'x\n  y'\ng: >-\n    text: x\n    more\n"),
    ).toEqual([]);
  });
});
