import { describe, expect, it } from "vitest";
import { compile } from "./index.ts";

type Edge = { from: string; to: string; condition?: string; on?: string };

/** Codes for a node `reader` that reads `ctx.<target>`, at the end of the given edges. */
function codesOf(edges: string[], target: string, more: Record<string, object> = {}): string[] {
  const parsed = edges.map((text): Edge => {
    const [, from = "", to = "", label] = /^(\w+) -> (\w+)(?: (\w+))?$/.exec(text) ?? [];
    if (label === undefined) return { from, to };
    return label === "error" ? { from, to, on: label } : { from, to, condition: `output.${label}` };
  });
  const ids = [...new Set(parsed.flatMap(({ from, to }) => [from, to]))];
  const nodes = ids.map((id) => ({
    id,
    type: "function",
    config: { function_name: "f", ...(id === "reader" ? { x: `\${ctx.${target}.output.v}` } : {}) },
    ...more[id],
  }));
  return compile({ document: { name: "w", nodes, edges: parsed } }).diagnostics.map((d) => d.code);
}

const conditional = { type: "conditional", config: {} };

describe("a reference", () => {
  it("to a node on every path is always there", () => {
    expect(codesOf(["a -> b", "b -> reader"], "a")).toEqual([]);
  });

  it("to a parallel branch that the reader waits for is always there", () => {
    expect(codesOf(["s -> a", "s -> b", "a -> reader", "b -> reader"], "a")).toEqual([]);
    expect(codesOf(["a -> j", "b -> j", "j -> reader"], "b")).toEqual([]);
  });

  it("through an `any` join may be missing", () => {
    const edges = ["s -> a", "s -> b", "a -> j", "b -> j", "j -> reader"];
    expect(codesOf(edges, "a", { j: { join: "any" } })).toEqual(["GV3006"]);
    expect(codesOf(edges, "s", { j: { join: "any" } })).toEqual([]);
  });

  it("through an `any` join is there if each of its branches waits for it", () => {
    const both = ["s -> m", "a -> m", "m -> c", "c -> b yes", "c -> d", "b -> j", "d -> j"];
    const edges = [...both, "j -> reader"];
    const more = { c: conditional, j: { join: "any" } };
    expect(codesOf(edges, "s", more)).toEqual([]);
    expect(codesOf(edges, "a", more)).toEqual([]);
    expect(codesOf(edges, "b", more)).toEqual(["GV3006"]);
    expect(codesOf([...edges, "s -> oops error"], "s", more)).toEqual(["GV3006"]);
    expect(codesOf([...edges, "x -> j"], "s", more)).toEqual(["GV3006"]);
  });

  it("to one of two branches may be missing, to what follows both it is there", () => {
    const edges = ["c -> a yes", "c -> b", "a -> m", "b -> m", "m -> reader", "s -> reader"];
    expect(codesOf(edges, "a", { c: conditional })).toEqual(["GV3006"]);
    expect(codesOf(edges, "m", { c: conditional })).toEqual([]);
  });

  it("to a node whose failure is handled may be missing beside it, not behind its success", () => {
    const beside = ["a -> reader", "a -> oops error", "s -> reader"];
    expect(codesOf(beside, "a")).toEqual(["GV3006"]);
    expect(codesOf(["a -> reader", "a -> oops error"], "a")).toEqual([]);
    expect(codesOf(["a -> reader error"], "a")).toEqual(["GV3006"]);
  });

  it("that is guarded is no warning", () => {
    const document = {
      name: "w",
      nodes: [
        { id: "c", type: "conditional" },
        { id: "a", type: "noop" },
        { id: "m", type: "transform", config: { expression: "has(ctx.a) ? ctx.a.output : 0" } },
      ],
      edges: [
        { from: "c", to: "a", condition: "output.yes" },
        { from: "c", to: "m" },
        { from: "a", to: "m" },
      ],
    };
    expect(compile({ document }).diagnostics).toEqual([]);
  });
});
