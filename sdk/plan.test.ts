import { describe, expect, it } from "vitest";
import { miniIr } from "../test/harness/mini-ir.ts";
import { CLOSURE_CHARS_MAX, MEMO_CHARS_MAX, Planner, type EffectPlan } from "./plan.ts";

/** Effects as short words: type, node, depth, suffix. */
function words(plan: EffectPlan): string[] {
  const list: string[] = [];
  for (let at = 0; at < plan.plain.length; at += 2) {
    list.push(`T${plan.plain[at]}@0`);
  }
  for (let at = 0; at < plan.args.length; at += 8) {
    const [type, node, depth, suffix] = plan.args.slice(at, at + 4);
    list.push(`${type}${node}@${depth}${suffix === "" ? "" : `+${suffix}`}`);
  }
  return list;
}

describe("Planner", () => {
  const ladder = miniIr(
    ["s", "a", "b", "c", "j", "x", "k"],
    [
      ["s", "a"],
      ["a", "b"],
      ["b", "j"],
      ["s", "c"],
      ["c", "j"],
      ["j", "x"],
      ["x", "k"],
      ["c", "k"],
    ],
  );

  it("C2: a dead edge reaches the border of its region without the nodes in between", () => {
    expect(words(new Planner(ladder).end(0, "DL", false))).toEqual(["T3@0", "D4@0"]);
  });

  it("the closure tells what follows if a border join is skipped in turn", () => {
    const plan = new Planner(ladder).end(0, "DL", false);
    expect(plan.closure).toMatch(/^\|4=V,6,0,,0,0,0,2\|6=\|$/);
  });

  it("under fail-fast a live arrival at an all-join sends no closure, under continue it does", () => {
    expect(new Planner(ladder).end(2, "L", false).closure).toBe("");
    const lenient = { ...ladder, settings: { ...ladder.settings, failure: "continue" as const } };
    expect(new Planner(lenient).end(2, "L", false).closure).not.toBe("");
  });

  describe("of layers that are joined to all of the next", () => {
    const [layers, width] = [12, 40];
    const at = (layer: number, i: number): string => `n${layer}-${i}`;
    const row = Array.from({ length: width }, (_, i) => i);
    const rows = Array.from({ length: layers }, (_, layer) => layer);
    const edges = rows
      .slice(1)
      .flatMap((layer) =>
        row.flatMap((from) =>
          row.map((to): [string, string] => [at(layer - 1, from), at(layer, to)]),
        ),
      );
    const ids = rows.flatMap((layer) => row.map((i) => at(layer, i)));
    const ir = miniIr(ids, edges, { failure: "continue" });

    it("sends of what would follow only so much", () => {
      const planner = new Planner(ir);
      const plans = ir.nodes.flatMap((node, i) =>
        ["L", "D", "X"].map((value) => planner.end(i, value.repeat(node.out.length), false)),
      );
      plans.push(...ir.nodes.map((_, i) => planner.skip(i, "X")));
      const lengths = plans.map(({ closure }) => closure.length);
      expect(Math.max(...lengths)).toBeLessThanOrEqual(CLOSURE_CHARS_MAX + 1);
      expect(Math.max(...lengths)).toBeGreaterThan(CLOSURE_CHARS_MAX / 2);
      expect(plans.every(({ closure }) => /^(?:\|\d+=[^|]*)*\|$|^$/.test(closure))).toBe(true);
    });

    it("keeps of its plans only so much", () => {
      const planner = new Planner(ir);
      const asked = ir.nodes
        .flatMap(({ out }, i) => ["L", "D"].map((v) => [i, v.repeat(out.length)] as const))
        .concat(ir.nodes.map(({ out }, i) => [i, `D${"L".repeat(Math.max(0, out.length - 1))}`]));
      const plans = asked.map(([node, edges]) => planner.end(node, edges, false));
      const oldest = asked.findIndex(
        ([node, edges], i) => planner.end(node, edges, false) !== plans[i],
      );
      expect(oldest).toBe(0);
      const all = plans.reduce((sum, { closure }) => sum + closure.length, 0);
      expect(all).toBeGreaterThan(MEMO_CHARS_MAX);
    });
  });

  it("entering a loop adds its first round, for every loop that the node heads", () => {
    const nested = miniIr(
      ["s", "h", "i", "o"],
      [
        ["s", "h"],
        ["h", "i"],
        ["i", "o"],
      ],
      {
        loops: [
          { head: 1, latch: 3, body: [1, 2, 3], parent: null },
          { head: 1, latch: 2, body: [1, 2], parent: 0 },
        ],
      },
    );
    const planner = new Planner(nested);
    expect(words(planner.end(0, "L", false))).toEqual(["T1@0+3:1/2:1"]);
    expect(words(planner.again(2, "3:1/2:4"))).toEqual(["G1@1+2:5"]);
    expect(words(planner.again(3, "3:1"))).toEqual(["G1@0+3:2/2:1"]);
    expect(words(planner.end(2, "L", true))).toEqual(["E2@2", "T3@1"]);
    // The outer loop dies as a whole: nothing follows, its latch has no out-edges.
    expect(words(planner.end(0, "D", false))).toEqual([]);
    // Inside a round a dead edge into the outer latch ends the outer loop.
    expect(words(planner.end(2, "D", true))).toEqual(["E2@2", "E3@1"]);
  });

  it("C2: a region is worked out once, and not again for the next token", () => {
    const planner = new Planner(ladder);
    expect(planner.end(0, "DD", false)).toBe(planner.end(0, "DD", false));
  });

  it("a fused target is counted and not sent to a queue", () => {
    expect(words(new Planner(ladder).end(0, "FD", false))[0]).toBe("F1@0");
  });
});
