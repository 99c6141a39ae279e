/**
 * Nodes that run in no run at all are marked.
 *
 * They stay: a run shows them as skipped, and joins count their edges. With the mark a planner need
 * not reckon with their queues, and a viewer can draw them pale. What never happens is found by the
 * abstract token game (compiler/analysis/explore.ts), with all failures, in bounded time.
 */
import { explore } from "../analysis/explore.ts";
import type { Pass } from "./pass.ts";

/** Combinations: a small part of what `gavotte analyse` spends, as every compilation pays it. */
const BUDGET = { statesMax: 200, stepsMax: 20_000, triesMax: 200 } as const;

export const DEAD_CODE: Pass = {
  name: "dead-code",
  about: "nodes that can never run are marked",
  run(ir, note) {
    // Without conditions and counts every node runs in some run.
    const isPlain =
      ir.edges.every(({ condition, on }) => condition === null && on !== "exhausted") &&
      ir.nodes.every(({ join }) => join.kind !== "count" || join.need <= 1) &&
      ir.loops.length === 0;
    if (isPlain) return;
    const { nodes } = explore(ir, BUDGET);
    ir.nodes.forEach((node, index) => {
      if (nodes[index]?.runs !== null) return;
      node.never = true;
      note(index, "never runs");
    });
  },
};
