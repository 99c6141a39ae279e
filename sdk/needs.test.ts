import { describe, expect, it } from "vitest";
import { compile, type Ir } from "../compiler/index.ts";
import { ATTEMPT_FIELD, needsOf } from "./needs.ts";

/** What a node with this expression reads of its run. */
function contextOf(expression: string): readonly string[] {
  const nodes = [{ id: "a", type: "transform", config: { expression } }];
  const { ir, diagnostics } = compile({ document: { name: "t", nodes, edges: [] } });
  expect(diagnostics).toEqual([]);
  return needsOf(ir as Ir, 0).context;
}

describe("the run's attempt", () => {
  it("is read where an expression names it, over lines too", () => {
    expect(contextOf("run.attempt")).toContain(ATTEMPT_FIELD);
    expect(contextOf("run.\nattempt")).toContain(ATTEMPT_FIELD);
    expect(contextOf("run.\tattempt")).toContain(ATTEMPT_FIELD);
    expect(contextOf("1 + 1")).toEqual([]);
  });
});
