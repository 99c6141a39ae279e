import { describe, expect, it } from "vitest";
import { HotJoins } from "./hot-joins.ts";

describe("joins folded from a journal", () => {
  it("hold what has arrived, each at its place", () => {
    const joins = new HotJoins();
    joins.arrive(4, "", "L", 2, 3);
    joins.arrive(4, "", "X", 0, 3);
    const join = { scope: "", live: 1, decided: 2, failed: 1, arrivals: "X.L" };
    expect(joins.get(4)).toEqual(join);
    expect(joins.waiting).toBe(1);
  });

  it("take nothing more once they are decided, and nothing waits there", () => {
    const joins = new HotJoins();
    joins.arrive(4, "", "L", 0, 2);
    joins.decide(4, "", undefined, 2);
    joins.arrive(4, "", "L", 1, 2);
    expect(joins.get(4)).toEqual({ scope: "", live: -1, decided: 1, failed: 0, arrivals: "L." });
    expect(joins.waiting).toBe(0);
  });

  it("stand as the journal says they stood when they were decided", () => {
    const joins = new HotJoins();
    joins.arrive(4, "", "L", 0, 3);
    joins.arrive(4, "", "X", 1, 3);
    joins.decide(4, "", "L..", 3);
    expect(joins.get(4)).toMatchObject({ live: -1, decided: 1, failed: 0, arrivals: "L.." });
  });

  it("begin anew with the first arrival of another round", () => {
    const joins = new HotJoins();
    joins.arrive(4, "9:1", "L", 0, 2);
    joins.decide(4, "9:1", "LL", 2);
    joins.arrive(4, "9:2", "D", 1, 2);
    expect(joins.get(4)).toEqual({ scope: "9:2", live: 0, decided: 1, failed: 0, arrivals: ".D" });
  });

  it("count at top level only", () => {
    const joins = new HotJoins();
    joins.arrive(4, "9:1", "L", 0, 2);
    expect(joins.waiting).toBe(0);
  });
});
