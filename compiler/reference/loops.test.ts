import { describe, expect, it } from "vitest";
import type { Json } from "../ir.ts";
import { chain, fails, fn, gives, irOf, late, play, statuses } from "./play.fixture.ts";
import type { Work } from "./play.fixture.ts";

type JsonObject = { [key: string]: Json };

function loop(id: string, back: string, condition: string, more: JsonObject = {}): JsonObject {
  return {
    id,
    type: "loop",
    config: { loop_back_to: back, condition, max_iterations: 3, ...more },
  };
}

/** Adds its name and round to the list that it gets. */
const trail =
  (name: string): Work =>
  ({ data, iteration }) => ({
    output: [...(Array.isArray(data) ? data : []), `${name}${iteration ?? ""}`],
  });

describe("a loop", () => {
  const count: Work = ({ data }) => ({ output: { n: (data as { n: number }).n + 1 } });
  const poll = (more: JsonObject = {}) =>
    irOf(
      [loop("p", "p", "output.n < 3", { function_name: "work", ...more }), fn("ok"), fn("out")],
      [...chain("p>ok"), ...(more["timeout_path"] ? [] : chain("ok>out"))],
    );

  it("goes round while its condition holds, each round with the output of the one before", () => {
    const result = play(poll(), { input: { n: 0 }, work: { p: count } });
    expect(result.nodes["p"]).toMatchObject({ activations: 3, output: { n: 3 } });
    expect(result.output).toEqual({ n: 3 });
  });

  it("fails with MAX_ITERATIONS when the rounds are used up and there is no timeout path", () => {
    const result = play(poll(), { input: { n: -5 }, work: { p: count } });
    expect(result.error).toMatchObject({
      ...{ code: "MAX_ITERATIONS", node: "p", scope: "0:3", details: { output: { n: -2 } } },
    });
  });

  it("takes its timeout path when there is one", () => {
    const result = play(poll({ timeout_path: ["out"] }), { input: { n: -5 }, work: { p: count } });
    expect(statuses(result)).toMatchObject({ ok: "skipped", out: "completed" });
    expect(result.output).toEqual({ n: -2 });
  });

  it("leaves by an error edge when its own work fails", () => {
    const ir = irOf(
      [loop("p", "p", "true", { function_name: "work" }), fn("bad")],
      [{ from: "p", to: "bad", on: "error" }],
    );
    const result = play(ir, { work: { p: fails() } });
    expect(statuses(result)).toEqual({ p: "failed", bad: "completed" });
  });

  it("goes back to its head through all of its body", () => {
    const ir = irOf(
      [fn("h"), fn("x"), fn("y"), loop("l", "h", "iteration < 2"), fn("end")],
      chain("h>x>l", "h>y>l>end"),
    );
    const x: Work = ({ iteration }) => ({ output: iteration ?? 0 });
    const result = play(ir, { work: { x, y: gives("y") } });
    expect(result.output).toEqual({ x: 2, y: "y" });
    expect(result.nodes["h"]).toMatchObject({ activations: 2, output: { x: 1, y: "y" } });
  });

  it("is skipped as one thing when nothing live comes to its head", () => {
    const ir = irOf(
      [fn("a"), fn("h"), loop("l", "h", "true"), fn("end")],
      [{ from: "a", to: "h", condition: "false" }, ...chain("h>l>end")],
    );
    const result = play(ir);
    expect(statuses(result)).toMatchObject({ h: "skipped", l: "skipped", end: "skipped" });
    expect(result.status).toBe("COMPLETED");
  });

  it("ends as skipped when nothing live comes to its latch in a round", () => {
    const ir = irOf(
      [fn("h"), loop("l", "h", "true"), fn("end")],
      [{ from: "h", to: "l", condition: "iteration < 2" }, ...chain("l>end")],
    );
    const result = play(ir);
    expect(statuses(result)).toEqual({ h: "completed", l: "skipped", end: "skipped" });
    expect(result.nodes["l"]).toEqual({ status: "skipped", activations: 1, attempts: 1 });
  });

  it("has its head consulted once: a late arrival from outside begins nothing", () => {
    const ir = irOf(
      [fn("a"), fn("b"), fn("h", { join: "any" }), loop("l", "h", "iteration < 2"), fn("end")],
      chain("a>h", "b>h>l>end"),
    );
    const result = play(ir, { order: late("b") });
    expect(result.nodes["h"]?.activations).toBe(2);
    expect(result.nodes["end"]?.activations).toBe(1);
  });
});

describe("what is still in flight when a round ends", () => {
  const body = (condition: string) =>
    irOf(
      [fn("h"), fn("x"), fn("y"), fn("j", { join: "any" }), loop("l", "h", condition), fn("end")],
      chain("h>x>j", "h>y>j>l>end"),
    );

  it("is void, and the next round begins anew", () => {
    const result = play(body("iteration < 3"), { order: late("y") });
    expect(result.status).toBe("COMPLETED");
    expect(result.nodes["j"]?.activations).toBe(3);
    expect(result.nodes["y"]).toEqual({ status: "cancelled", activations: 3, attempts: 1 });
    expect(result.trace.filter(({ event }) => event === "node.voided")).toHaveLength(3);
  });

  it("is void in a loop within, too", () => {
    const ir = irOf(
      [fn("h"), fn("b"), loop("inner", "b", "true"), fn("x"), loop("outer", "h", "false", {})].map(
        (node) => (node["id"] === "outer" ? { ...node, join: "any" } : node),
      ),
      chain("h>b>inner>outer", "h>x>outer"),
    );
    const result = play(ir, { order: late("b") });
    expect(result.status).toBe("COMPLETED");
    expect(statuses(result)).toMatchObject({ b: "cancelled", inner: "pending" });
  });

  it("is not void if it is faster than the latch", () => {
    const result = play(body("iteration < 3"), { order: late("j") });
    expect(statuses(result)["y"]).toBe("completed");
  });
});

describe("nested loops", () => {
  it("begin the inner one anew in each round of the outer one", () => {
    const ir = irOf(
      [fn("a"), fn("b"), loop("inner", "b", "iteration < 2"), loop("outer", "a", "iteration < 2")],
      chain("a>b>inner>outer"),
    );
    const result = play(ir, { input: [], work: { a: trail("a"), b: trail("b") } });
    expect(result.output).toEqual(["a1", "b1", "b2", "a2", "b1", "b2"]);
    expect(result.nodes["b"]?.activations).toBe(4);
    const scopes = result.trace.filter((t) => t.event === "node.completed" && t.node === "b");
    expect(scopes.map(({ scope }) => scope)).toEqual([
      ...["3:1/2:1", "3:1/2:2", "3:2/2:1", "3:2/2:2"],
    ]);
  });

  it("may share their head", () => {
    const ir = irOf(
      [fn("h"), loop("inner", "h", "iteration < 2"), loop("outer", "h", "iteration < 2")],
      chain("h>inner>outer"),
    );
    const result = play(ir, { input: [], work: { h: trail("h") } });
    expect(result.output).toEqual(["h1", "h2", "h1", "h2"]);
  });

  it("end the outer round's loop when the inner loop is skipped", () => {
    const ir = irOf(
      [fn("a"), fn("b"), loop("inner", "b", "true"), loop("outer", "a", "true"), fn("end")],
      [{ from: "a", to: "b", condition: "false" }, ...chain("b>inner>outer>end")],
    );
    expect(statuses(play(ir))).toMatchObject({ outer: "skipped", end: "skipped" });
  });
});

describe("ctx and loops", () => {
  const seen = (id: string) => `\${has(ctx.${id}.output) ? ctx.${id}.output : "none"}`;
  const reads = (id: string, of: string) => ({
    ...{ id, type: "transform", config: { expression: seen(of) } },
  });

  it("is this round's value inside the body, and the last round's after the loop", () => {
    const ir = irOf(
      [
        fn("x"),
        fn("h"),
        fn("w"),
        reads("r", "w"),
        loop("l", "h", "iteration < 2"),
        reads("end", "w"),
      ],
      chain("x>h>w>r>l>end"),
    );
    const w: Work = ({ iteration }) => ({ output: iteration ?? 0 });
    const log: unknown[] = [];
    const note: Work = ({ vars }) => {
      log.push(vars.ctx?.["w"]?.output);
      return { output: 0 };
    };
    play(ir, { work: { w, r: note, end: note } });
    expect(log).toEqual([1, 2, 2]);
  });

  it("is the last round's value for a reader in another loop", () => {
    const ir = irOf(
      [fn("w"), loop("l", "w", "iteration < 2"), reads("r", "w"), loop("m", "r", "iteration < 2")],
      chain("w>l>r>m"),
    );
    const log: unknown[] = [];
    const note: Work = ({ vars }) => {
      log.push(vars.ctx?.["w"]?.output);
      return { output: 0 };
    };
    play(ir, { work: { w: ({ iteration }) => ({ output: iteration ?? 0 }), r: note } });
    expect(log).toEqual([2, 2]);
  });

  it("has nothing of a node that failed", () => {
    const ir = irOf([fn("a"), reads("b", "a")], [{ from: "a", to: "b", on: "error" }]);
    const log: unknown[] = [];
    const note: Work = ({ vars }) => {
      log.push(vars.ctx?.["a"]);
      return { output: 0 };
    };
    play(ir, { work: { a: fails(), b: note } });
    expect(log).toEqual([undefined]);
  });

  it("has nothing of a node that the last round skipped", () => {
    const ir = irOf(
      [fn("h"), fn("w"), loop("l", "h", "iteration < 2"), reads("end", "w")],
      [{ from: "h", to: "w", condition: "iteration < 2" }, ...chain("w>l", "h>l>end")],
    );
    const log: unknown[] = [];
    const note: Work = ({ vars }) => {
      log.push(vars.ctx?.["w"]);
      return { output: 0 };
    };
    play(ir, { work: { end: note } });
    expect(log).toEqual([undefined]);
  });
});

describe("a failure in a body under continue", () => {
  it("fails the loop, and what comes after it is skipped", () => {
    const ir = irOf(
      [fn("h"), fn("x"), loop("l", "h", "true"), fn("end"), fn("other")],
      chain("h>x>l>end"),
      { settings: { failure: "continue" } },
    );
    const result = play(ir, { work: { x: fails() } });
    expect(statuses(result)).toMatchObject({ l: "skipped", end: "skipped", other: "completed" });
    expect(result.failed_nodes).toEqual(["x"]);
  });
});
