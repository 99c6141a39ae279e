import { describe, expect, it } from "vitest";
import { miniIr } from "../test/harness/mini-ir.ts";
import { HotRounds, latchGone } from "./hot-rounds.ts";

describe("rounds folded from a journal", () => {
  it("begin below those that are under way", () => {
    const rounds = new HotRounds([[9, "9:1"]]);
    rounds.begin("9:1/5:1/3:1", 1);
    expect([...rounds]).toEqual([
      [9, "9:1"],
      [5, "9:1/5:1"],
      [3, "9:1/5:1/3:1"],
    ]);
  });

  it("are alive while their loop, and every loop around it, is in them", () => {
    const rounds = new HotRounds();
    rounds.begin("9:1/5:2", 0);
    expect(rounds.isCurrent("")).toBe(true);
    expect(rounds.isCurrent("9:1/5:2")).toBe(true);
    expect(rounds.isCurrent("9:1/5:1")).toBe(false);
    rounds.end(9, "");
    expect(rounds.isCurrent("9:1/5:2")).toBe(false);
  });

  it("count as one token of the unit, whatever is inside, until the loop ends", () => {
    const loops = [{ latch: 1, head: 0, body: [0, 1], parent: null }];
    const ir = miniIr(["a", "b"], [["a", "b"]], { loops });
    const rounds = new HotRounds();
    rounds.begin("1:1", 0);
    expect(rounds.open(ir)).toBe(1);
    rounds.end(1, "");
    expect(rounds.open(ir)).toBe(0);
  });

  it("name of loops that share a head the innermost past its first as the one that went round", () => {
    expect(latchGone("9:2/5:1", 0)).toBe(9);
    expect(latchGone("9:2/5:3", 0)).toBe(5);
    expect(latchGone("9:1/5:1", 0)).toBe(5);
  });
});
