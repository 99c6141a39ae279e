/** Tokens that somebody settles by hand, and maps whose results are collected in a turn of its own. */
import { describe, expect, it } from "vitest";
import type { Json } from "../ir.ts";
import { chain, fails, fn, irOf, play, statuses } from "./play.fixture.ts";
import { recordedOrder } from "./order.ts";
import type { ByHand, ReadyToken } from "./types.ts";

/** The order is obeyed at the node's first turn. */
function once(node: string, order: ByHand): (token: ReadyToken) => ByHand | undefined {
  return (token) => (token.node === node && token.attempt === 1 ? order : undefined);
}

const turn = (node: string, isByHand = false, home = ""): object => ({
  ...{ node, scope: "", home, isByHand },
});
const orderOf = (...turns: object[]): ReturnType<typeof recordedOrder> =>
  recordedOrder(turns as Parameters<typeof recordedOrder>[0]);

describe("a node that is settled by hand", () => {
  const edges = [...chain("a>b>d", "a>c>d"), { from: "b", to: "e", on: "error" }];
  const ir = irOf([fn("a"), fn("b"), fn("c"), fn("d"), fn("e")], edges);

  it("has the output or the error that somebody gives, and is not executed", () => {
    const work = { b: fails("NEVER") };
    const done = play(ir, { work, byHand: once("b", { output: 7 }) });
    expect(done.nodes["b"]).toMatchObject({ status: "completed", output: 7 });
    const error = { code: "SAID", message: "so", retryable: false };
    const failed = play(ir, { byHand: once("b", { error }) });
    expect(statuses(failed)).toMatchObject({ b: "failed", d: "completed", e: "completed" });
  });

  it("is as if no edge had led to it when it is skipped", () => {
    const result = play(ir, { byHand: once("b", "skip") });
    expect(statuses(result)).toMatchObject({ b: "skipped", c: "completed", e: "skipped" });
    expect(result.nodes["d"]?.output).toEqual({ c: {} });
  });

  it("ends its loop when it is skipped in it", () => {
    const config = { loop_back_to: "h", condition: "true", max_iterations: 3 };
    const looped = irOf(
      [fn("h"), fn("x"), { id: "l", type: "loop", config }, fn("z")],
      chain("h>x>l>z"),
    );
    for (const node of ["h", "x", "l"]) {
      const result = play(looped, { byHand: once(node, "skip") });
      expect([node, statuses(result)]).toMatchObject([node, { l: "skipped", z: "skipped" }]);
      expect(result.status).toBe("COMPLETED");
    }
  });

  it("has another attempt at once when it is tried again", () => {
    const result = play(ir, { byHand: once("b", "retry") });
    expect(result.nodes["b"]).toMatchObject({ status: "completed", attempts: 2, activations: 1 });
  });
});

describe("a map", () => {
  const config = { items: "[1, 2]", do: fn("work") };
  const ir = irOf([{ id: "m", type: "map", config }, fn("z")], chain("m>z"));

  it("voids its elements when it is settled by hand", () => {
    const settled = { m: 0 };
    const result = play(ir, {
      order: orderOf(turn("m"), turn("work", false, "0#1"), turn("m", true)),
      byHand: ({ node }) => (node === "m" && settled.m++ > 0 ? { output: "mine" } : undefined),
    });
    expect(result.output).toBe("mine");
    expect(result.elements["0#0"]?.["work"]?.status).toBe("cancelled");
    expect(result.elements["0#1"]?.["work"]?.status).toBe("completed");
  });

  it("is not collected in the turn of its last element if it has one of its own", () => {
    const elements = [turn("work", false, "0#0"), turn("work", false, "0#1")];
    const after = (cancelAfter: number, collects: boolean): Json => {
      const order = orderOf(turn("m"), ...elements, turn("m"), turn("z"));
      const { nodes } = play(ir, { order, cancelAfter, collects });
      return nodes["m"]?.status ?? null;
    };
    expect([after(3, false), after(3, true), after(4, true)]).toEqual([
      ...["completed", "cancelled", "completed"],
    ]);
  });
});

describe("who picks a token that waits", () => {
  it("has somebody who settles it", () => {
    const wait = { id: "w", type: "wait", config: { signal: "go" } };
    const ir = irOf([wait, fn("a"), fn("b")], chain("a>b"));
    const order = orderOf(turn("w"), turn("w", true));
    expect(() => play(ir, { order })).toThrow('nobody settles "w" by hand');
  });
});
