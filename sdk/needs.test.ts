import { describe, expect, it } from "vitest";
import { compile, type Ir } from "../compiler/index.ts";
import { ATTEMPT_FIELD, needsOf } from "./needs.ts";

function compiled(node: object): Ir {
  const { ir, diagnostics } = compile({
    document: { name: "t", nodes: [{ id: "a", ...node }], edges: [] } as never,
  });
  expect(diagnostics).toEqual([]);
  return ir as Ir;
}

/** What a node with this expression reads of its run. */
function contextOf(expression: string): readonly string[] {
  return needsOf(compiled({ type: "transform", config: { expression } }), 0).context;
}

const call = (params: object): object => ({
  ...{ type: "function", config: { function_name: "run", params } },
});
const inMap = (node: object): object => ({
  ...{ type: "map", config: { items: [1], do: { nodes: [{ id: "e", ...node }] } } },
});

describe("the run's attempt", () => {
  it("is read where an expression names it, over lines too", () => {
    expect(contextOf("run.attempt")).toContain(ATTEMPT_FIELD);
    expect(contextOf("run.\nattempt")).toContain(ATTEMPT_FIELD);
    expect(contextOf("run.\tattempt")).toContain(ATTEMPT_FIELD);
    expect(contextOf("1 + 1")).toEqual([]);
  });

  it.each(["${run}", "${run[data.k]}", "${[run]}", "${data.map(x, run)}"])(
    "is read with the run as a whole, or by a key that is computed: %s",
    (text) => {
      expect(needsOf(compiled(call({ text })), 0).context).toContain(ATTEMPT_FIELD);
      expect(needsOf(compiled(inMap(call({ text }))), 0).context).toContain(ATTEMPT_FIELD);
      expect(contextOf(text.slice(2, -1))).toContain(ATTEMPT_FIELD);
    },
  );

  it("is so, too, in a workflow that was compiled before that was noted", () => {
    const old = (ir: Ir): Ir => {
      const nodes = ir.nodes.map((node) => ({ ...node, uses_attempt: undefined }) as never);
      return { ...ir, nodes };
    };
    for (const text of ["${run}", "${run[data.k]}"]) {
      const [called, made] = [call({ text }), { type: "transform", config: { expression: "" } }];
      made.config.expression = text.slice(2, -1);
      expect(needsOf(old(compiled(called)), 0).context).toContain(ATTEMPT_FIELD);
      expect(needsOf(old(compiled(made)), 0).context).toContain(ATTEMPT_FIELD);
    }
  });

  it("is not read for a word that is like it, nor for the run's other names", () => {
    const params = { a: "in the long run", b: "${run.id}", c: "${run.workflow}" };
    expect(needsOf(compiled(call(params)), 0).context).toEqual([]);
  });
});
