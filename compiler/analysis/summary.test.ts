import { describe, expect, it } from "vitest";
import { compile } from "../index.ts";
import type { IrAnalysis } from "../index.ts";

function analysisOf(
  edges: [string, string, string?][],
  more: Record<string, object> = {},
): IrAnalysis & { convergence: string[] } {
  const ids = [...new Set(edges.flatMap(([from, to]) => [from, to]))];
  const nodes = ids.map((id) => ({ id, type: "noop", ...more[id] }));
  const { ir } = compile({
    document: {
      name: "w",
      nodes,
      edges: edges.map(([from, to, label]) =>
        label === "error"
          ? { from, to, on: label }
          : { from, to, ...(label === undefined ? {} : { condition: `output.${label}` }) },
      ),
    },
  });
  if (!ir) throw new Error("not compiled");
  const convergence = ir.analysis.convergence_points.map((i) => ir.nodes[i]?.id ?? "");
  return { ...ir.analysis, convergence };
}

const conditional = { type: "conditional" };

describe("the analysis", () => {
  it("calls a join of parallel branches a convergence, a merge of alternatives not", () => {
    const fork = analysisOf([
      ...([
        ["f", "a"],
        ["f", "b"],
        ["a", "j"],
        ["b", "j"],
      ] as [string, string][]),
    ]);
    expect(fork.convergence).toEqual(["j"]);
    const choice = analysisOf(
      [
        ["c", "a", "x"],
        ["c", "b"],
        ["a", "m"],
        ["b", "m"],
      ],
      { c: conditional },
    );
    expect(choice.convergence).toEqual([]);
  });

  it("sees through nested choices and partial merges", () => {
    const nested = analysisOf(
      [
        ["c", "d", "x"],
        ["c", "m"],
        ["d", "a", "y"],
        ["d", "b"],
        ["a", "m"],
        ["b", "m"],
      ],
      { c: conditional, d: conditional },
    );
    expect(nested.convergence).toEqual([]);
    const error = analysisOf([
      ["a", "b"],
      ["a", "e", "error"],
      ["b", "m"],
      ["e", "m"],
    ]);
    expect(error.convergence).toEqual([]);
  });

  it("counts paths exactly where doubles could not", () => {
    const edges = Array.from({ length: 60 }, (_, i): [string, string][] => [
      ...([
        [`s${i}`, `a${i}`],
        [`s${i}`, `b${i}`],
      ] as [string, string][]),
      ...([
        [`a${i}`, `s${i + 1}`],
        [`b${i}`, `s${i + 1}`],
      ] as [string, string][]),
    ]).flat();
    const analysis = analysisOf(edges);
    expect(analysis.path_count).toBe((2n ** 60n).toString());
    expect(analysis.critical_path).toHaveLength(121);
    expect(analysis.tokens_max).toBe(2);
  });

  it("counts the losers of an any-join", () => {
    const edges: [string, string][] = [
      ["f", "a"],
      ["f", "b"],
      ["a", "j"],
      ["b", "j"],
      ["j", "z"],
    ];
    expect(analysisOf(edges).tokens_max).toBe(2);
    expect(analysisOf(edges, { j: { join: "any" } }).tokens_max).toBe(3);
  });
});
