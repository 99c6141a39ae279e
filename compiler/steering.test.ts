import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compile } from "./index.ts";

const folder = new URL("../test_data/", import.meta.url);
const EXAMPLES = readdirSync(folder).filter((name) => /\.(json|yaml)$/.test(name));

/** Codes said of a node `a` of a type with these edges; the other nodes are `b`, `c` and `d`. */
function said(type: string, edges: object[]): string[] {
  const config = type === "function" ? { function_name: "f" } : {};
  const nodes = ["a", "b", "c", "d"].map((id) => ({
    ...(id === "a" ? { id, type, config } : { id, type: "noop" }),
  }));
  const rest = [{ from: "b", to: "d" }];
  const document = { name: "w", nodes, edges: [...edges, ...rest] };
  return compile({ document }).diagnostics.map(({ code }) => code);
}

const asking = { from: "a", to: "b", condition: "output.x" };

describe("an edge without a condition beside one with", () => {
  it("is warned of, since it is taken always", () => {
    expect(said("transform", [asking, { from: "a", to: "c" }])).toContain("GV2027");
  });

  it.each(["error", "timeout", "always"])("is warned of among edges on: %s, too", (on) => {
    const edges = [
      { ...asking, on },
      { from: "a", to: "c", on },
    ];
    expect(said("function", edges)).toContain("GV2027");
    expect(said("noop", edges)).not.toContain("GV2027");
    // What a conditional chooses from are its success edges.
    const choice = [{ from: "a", to: "b" }];
    expect(said("conditional", [...choice, ...edges])).toContain("GV2027");
    expect(said("function", [edges[0] ?? {}, { from: "a", to: "c" }])).not.toContain("GV2027");
  });

  it("is the default of a conditional", () => {
    expect(said("conditional", [asking, { from: "a", to: "c" }])).toEqual([]);
  });

  it("is what a parallel node is for", () => {
    expect(said("noop", [asking, { from: "a", to: "c" }])).toEqual([]);
  });

  it("may be a way around what can be left out", () => {
    const edges = [asking, { from: "a", to: "d" }, { from: "c", to: "d" }];
    expect(said("delay", edges)).not.toContain("GV2027");
  });

  it("is meant if it says so, or follows another end of the node", () => {
    const codes = [{ condition: true }, { on: "error" }, { on: "always" }].map((more) =>
      said("delay", [asking, { from: "a", to: "c", ...more }]),
    );
    for (const found of codes) expect(found).not.toContain("GV2027");
  });

  it.each(EXAMPLES)("is in the example %s only where it is meant", (name) => {
    const text = readFileSync(new URL(name, folder), "utf8");
    expect(compile({ text, file: name }).diagnostics.map(({ code }) => code)).not.toContain(
      "GV2027",
    );
  });
});
