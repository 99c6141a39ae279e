import { describe, expect, it } from "vitest";
import { compileCondition } from "./compile.ts";
import { decideEdges } from "./edges.ts";
import { EvaluationError } from "./errors.ts";

function edges(
  ...sources: (string | null)[]
): { condition: ReturnType<typeof compileCondition> | null }[] {
  return sources.map((source) => ({
    condition: source === null ? null : compileCondition(source),
  }));
}

const vars = { output: { n: 5 } };
const big = "output.n > 4";
const huge = "output.n > 100";
const odd = "output.n % 2 == 1";
const broken = "output.missing > 1";

describe("decideEdges", () => {
  it("takes the first that holds, in file order", () => {
    expect(decideEdges(edges(huge, big, odd), "first", vars)).toEqual([false, true, false]);
  });

  it("takes the default only if no condition holds, whatever its place", () => {
    expect(decideEdges(edges(null, big), "first", vars)).toEqual([false, true]);
    expect(decideEdges(edges(null, huge), "first", vars)).toEqual([true, false]);
    expect(decideEdges(edges(huge, null, huge), "all", vars)).toEqual([false, true, false]);
    expect(decideEdges(edges(big, null, odd), "all", vars)).toEqual([true, false, true]);
  });

  it("takes none if nothing holds and there is no default", () => {
    expect(decideEdges(edges(huge), "first", vars)).toEqual([false]);
    expect(decideEdges([], "all", vars)).toEqual([]);
  });

  it("lets each edge decide for itself", () => {
    expect(decideEdges(edges(huge, null, big, null), "each", vars)).toEqual([
      false,
      true,
      true,
      true,
    ]);
  });

  it("never takes an error for false", () => {
    for (const mode of ["first", "all", "each"] as const) {
      expect(() => decideEdges(edges(broken, null), mode, vars)).toThrow(EvaluationError);
    }
  });

  it("does not evaluate what follows the first that holds", () => {
    expect(decideEdges(edges(big, broken), "first", vars)).toEqual([true, false]);
    expect(() => decideEdges(edges(big, broken), "all", vars)).toThrow(EvaluationError);
  });
});
