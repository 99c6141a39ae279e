import { describe, expect, it } from "vitest";
import { asNode, childrenOf } from "./ast.ts";
import type { Node } from "./ast.ts";
import { compileExpression } from "./compile.ts";
import { runtime } from "./library.ts";
import { findReferences } from "./references.ts";

function paths(source: string): string[] {
  return compileExpression(source).references.map((ref) => ref.path.join("/"));
}

/** The references with a mark for the guarded ones, e.g. `?ctx/a`. */
function marked(source: string): string[] {
  return compileExpression(source).references.map(
    (ref) => `${ref.guarded ? "?" : ""}${ref.path.join("/")}`,
  );
}

describe("references", () => {
  it("are the paths an expression reads, with their places", () => {
    const source = 'ctx.a.output.x > ctx["b-c"].output.y[0].z';
    const references = compileExpression(source).references;
    expect(references.map((ref) => source.slice(ref.start, ref.end))).toEqual([
      "ctx.a.output.x",
      'ctx["b-c"].output.y[0].z',
    ]);
    expect(references[1]?.path).toEqual(["ctx", "b-c", "output", "y", "0", "z"]);
  });

  it("stop at the first part that is computed, whose own references count", () => {
    expect(paths("output.items[index].id + ctx[input.name].output")).toEqual([
      "output/items",
      "index",
      "ctx",
      "input/name",
    ]);
  });

  it("leave out the variables of macros and the names of the language", () => {
    expect(paths("output.list.all(x, x.id > input.least && type(x) != int)")).toEqual([
      "output/list",
      "input/least",
    ]);
    expect(paths("cel.bind(v, output.a, v + optional.of(input).value())")).toEqual([
      "output/a",
      "input",
    ]);
    expect(paths("output.list.all(output, output > 1) && output.x")).toEqual([
      "output/list",
      "output/x",
    ]);
  });

  it("are found in literals, calls, unary operators and keys", () => {
    expect(paths("{'a': [output.x], 'b': -data.y, input.k: size(item)}")).toEqual([
      "output/x",
      "data/y",
      "input/k",
      "item",
    ]);
  });

  it.each([
    ["has(ctx.a.output.x)", ["?ctx/a/output/x"]],
    ["ctx.?a.?output.orValue(1)", ["?ctx/a/output"]],
    ["ctx.a.output.?x.orValue(1)", ["ctx/a/output/x"]],
    ["output.?x.orValue(1)", ["?output/x"]],
    ["has(ctx.a) && ctx.a.output.x > 1", ["?ctx/a", "?ctx/a/output/x"]],
    ["ctx.a.output.x > 1 && has(ctx.a.output)", ["?ctx/a/output/x", "?ctx/a/output"]],
    ["has(ctx.a) && ctx.b.output.x > 1", ["?ctx/a", "ctx/b/output/x"]],
    ["has(ctx.a) || ctx.a.output.x > 1", ["?ctx/a", "ctx/a/output/x"]],
    ["!has(ctx.a) || ctx.a.output.x > 1", ["?ctx/a", "?ctx/a/output/x"]],
    ["has(ctx.a) ? ctx.a.output : ctx.b.output", ["?ctx/a", "?ctx/a/output", "ctx/b/output"]],
    ["!has(ctx.a) ? ctx.b.output : ctx.a.output", ["?ctx/a", "ctx/b/output", "?ctx/a/output"]],
    ["has(output.x) && output.x.y > 1 && output.xy", ["?output/x", "?output/x/y", "output/xy"]],
  ])("%s guards what it asks for", (source, expected) => {
    expect(marked(source)).toEqual(expected);
  });
});

describe("the references of a long chain", () => {
  /** How often the tree is looked at, node by node. */
  function looks(terms: number): number {
    const source = Array.from({ length: terms }, (_, i) => `has(input.a${i})`).join(" && ");
    const root = asNode(runtime.parse(source).ast);
    let count = 0;
    const watch = (node: Node): void => {
      childrenOf(node).forEach(watch);
      const { op } = node;
      Object.defineProperty(node, "op", {
        get: () => {
          count++;
          return op;
        },
      });
    };
    watch(root);
    expect(findReferences(root, () => false)).toHaveLength(terms);
    return count;
  }

  it("are found by looking at each of its parts a few times, however long it is", () => {
    expect(looks(200)).toBeLessThan(3 * looks(100));
  });
});
