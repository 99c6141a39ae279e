/** Branches of joins: what a join may cancel, and what `join: settled` implies. */
import { describe, expect, it } from "vitest";
import { compile } from "./index.ts";
import type { Ir } from "./index.ts";
import { interpret, type HandlerTable } from "./reference/index.ts";

/** Edges as `a>b c>d`, error edges as `a!b`; nodes are functions named as in the edges. */
function compiled(edges: string, joins: { [id: string]: unknown }, more: object = {}): Ir {
  const drawn = edges.split(" ").map((text) => {
    const [, from = "", arrow, to = ""] = /^(\w+)([>!])(\w+)$/.exec(text) ?? [];
    return { from, to, ...(arrow === "!" ? { on: "error" } : {}) };
  });
  const ids = [...new Set(drawn.flatMap(({ from, to }) => [from, to]))];
  const nodes = ids.map((id) => {
    const join = joins[id] === undefined ? {} : { join: joins[id] };
    return { id, type: "function", config: { function_name: "f" }, ...join };
  });
  const text = JSON.stringify({ name: "w", nodes, edges: drawn, ...more });
  const { ir, diagnostics } = compile({ text });
  if (ir === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return ir;
}

const RACE = { mode: "any", cancel_losers: true };

function losers(ir: Ir, join: string): string[] {
  const node = ir.nodes.find(({ id }) => id === join);
  return (node?.join.losers ?? []).map((index) => ir.nodes[index]?.id ?? "?");
}

describe("losers of a join", () => {
  it("are all nodes that lead to it alone, however far back and joined among themselves", () => {
    const ir = compiled("s>a a>b s>c c>d c>e d>f e>f b>j f>j j>z s>log", { j: RACE });
    expect(losers(ir, "j").toSorted()).toEqual(["a", "b", "c", "d", "e", "f"]);
  });

  it("are entries, too, that begin with the run", () => {
    expect(losers(compiled("a>j b>j j>z", { j: RACE }), "j").toSorted()).toEqual(["a", "b"]);
  });

  it("are none without the wish", () => {
    const ir = compiled("a>j b>j j>z", { j: "any" });
    expect(ir.nodes.find(({ id }) => id === "j")?.join).toEqual({ kind: "any", need: 1, arity: 2 });
  });

  it("of a join inside of another's branch are among the other's", () => {
    const ir = compiled("a>i b>i i>j c>j j>z", { i: RACE, j: { count: 1, cancel_losers: true } });
    expect(losers(ir, "i").toSorted()).toEqual(["a", "b"]);
    expect(losers(ir, "j").toSorted()).toEqual(["a", "b", "c", "i"]);
  });

  it("are refused where a branch leads elsewhere, or can begin after the join has fired", () => {
    expect(() => compiled("a>j b>j b>z", { j: RACE })).toThrow(/through `b`, .* leads to `z`/);
    expect(() => compiled("p>a p>z a>j b>j", { j: RACE })).toThrow(/through `p`, .* leads to `z`/);
    expect(() => compiled("a>j j>z", { j: RACE })).toThrow("no branches");
    expect(() => compiled("a>j b>j", { j: { count: 2, cancel_losers: true } })).toThrow(
      /nobody loses/,
    );
    expect(() => compiled("a>j b>j", { j: { mode: "all", cancel_losers: true } })).toThrow(
      "nobody loses",
    );
  });

  it("in a round are those of the round: whoever enters the loop is not among them", () => {
    const loop = { loop_back_to: "h", max_iterations: 2, condition: "true" };
    const task = (id: string, more = {}): object => ({ id, type: "noop", ...more });
    const nodes = [
      ...["in", "h", "a", "b"].map((id) => task(id)),
      task("j", { join: RACE }),
      { id: "l", type: "loop", config: loop },
    ];
    const edges = ["in>h", "h>a", "h>b", "a>j", "b>j", "j>l"].map((edge) => {
      const [from, to] = edge.split(">");
      return { from, to };
    });
    const { ir } = compile({ text: JSON.stringify({ name: "w", nodes, edges }) });
    expect(losers(ir as Ir, "j").toSorted()).toEqual(["a", "b", "h"]);
  });

  it("are not evaluated in the step that may fire their join", () => {
    const nodes = ["s", "a", "b"].map((id) => ({ id, type: "noop" }));
    const join = { id: "j", type: "noop", join: RACE };
    const edges = ["s>a", "s>b", "a>j", "b>j"].map((edge) => {
      const [from, to] = edge.split(">");
      return { from, to };
    });
    const text = JSON.stringify({ name: "w", nodes: [...nodes, join], edges });
    const { ir } = compile({ text });
    expect(ir?.nodes.filter(({ fusible }) => fusible)).toEqual([]);
  });
});

/** Nodes that are named fail. */
function failing(...ids: string[]): HandlerTable {
  return {
    evaluate: ({ id }) =>
      ids.includes(id) ? { error: { code: "E", message: id } } : { output: id },
  };
}

describe("join: settled", () => {
  const BRANCHES = "s>a a>b s>c b>j c>j j>z";

  it.each(["fail_fast", "continue"])("fires when all branches have ended, under %s", (failure) => {
    const ir = compiled(BRANCHES, { j: "settled" }, { settings: { failure } });
    const fine = interpret(ir, null, { handlers: failing() });
    expect(fine).toMatchObject({ status: "COMPLETED", nodes: { j: { status: "completed" } } });
    let seen: unknown;
    const handlers = failing("a");
    const result = interpret(ir, null, {
      handlers: {
        evaluate: (node, context) => {
          seen = node.id === "j" ? context.data : seen;
          return handlers.evaluate(node, context);
        },
      },
    });
    expect(result.status).toBe("COMPLETED");
    expect(result.nodes["b"]?.status).toBe("skipped");
    expect(seen).toEqual({
      a: { error: { code: "E", message: "a", node: "a", attempts: 1 } },
      c: "c",
    });
  });

  it("fires with nothing but failures, and is skipped when no branch was taken", () => {
    const ir = compiled(BRANCHES, { j: "settled" });
    const failed = interpret(ir, null, { handlers: failing("b", "c") });
    expect(failed.nodes["j"]?.status).toBe("completed");
    const guarded = compiled("s>a a>j s>c c>j", { j: "settled" });
    guarded.edges.forEach((edge) => {
      edge.condition = edge.from === 0 ? "false" : edge.condition;
    });
    expect(interpret(guarded, null, { handlers: failing() }).nodes["j"]?.status).toBe("skipped");
  });

  it("leaves alone what handles its failure itself, or leads elsewhere", () => {
    const ir = compiled("s>a a!x x>j s>b b>j b>z", { j: "settled" });
    const errors = ir.edges.filter(({ on }) => on === "error");
    const text = errors.map(({ from, to }) => `${ir.nodes[from]?.id}!${ir.nodes[to]?.id}`);
    expect(text.toSorted()).toEqual(["a!x", "x!j"]);
  });
});
