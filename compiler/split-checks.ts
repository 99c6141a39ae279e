/**
 * What cannot be split: conditions of a node with too many out-edges that read something which may be
 * another thing one step later. The node decides all of its edges; its parts decide again, each for
 * those that it hands on to (tree.ts), and must come to the same.
 */
import { compileCondition } from "../condition/index.ts";
import type { Reference } from "../condition/index.ts";
import { Certainty } from "./certainty.ts";
import type { Reporter } from "./diagnostics.ts";
import type { FlatEdge } from "./expand.ts";
import type { Graph } from "./graph.ts";
import type { LoopForest } from "./loops.ts";
import type { NodeReads } from "./visible-nodes.ts";

/** Of the run: what stays as it is when the run is redriven. */
const LASTING = new Set(["id", "workflow", "version"]);

/** Report conditions that keep a node's out-edges together although there are more than `fanMax`. */
export function checkSplits(
  { graph, forest }: { graph: Graph; forest: LoopForest },
  fanMax: number,
  reads: readonly NodeReads[],
  reporter: Reporter,
): void {
  let certainty: Certainty | undefined;
  graph.out.forEach((links, index) => {
    if (links.length <= fanMax) return;
    const edges = links.flatMap((edge) => graph.edges[edge] ?? []);
    const id = graph.nodes[index]?.id ?? "";
    const report = (what: string, edge: FlatEdge | undefined): void => {
      const pointer = edge?.condition?.pointer ?? graph.nodes[index]?.pointer ?? "";
      const message = `\`${id}\` has ${links.length} out-edges, ${what}`;
      const hint = `with at most ${fanMax} out-edges it could; or decide in a node behind it`;
      reporter.report({ code: "GV2024", pointer, message, hint });
    };
    const isLatch = forest.loops.some(({ latch }) => latch === index);
    const isPassing = ({ path: [root, field] }: Reference): boolean =>
      (isLatch && root === "iteration") || (root === "run" && !LASTING.has(field ?? ""));
    const passing = edges.find((edge) => referencesOf(edge).some(isPassing));
    const read = passing && referencesOf(passing).find(isPassing)?.path.join(".");
    if (read !== undefined) report(`and one cannot be decided by \`${read}\``, passing);
    for (const ref of reads[index]?.edgeRefs ?? []) {
      certainty ??= new Certainty(graph);
      if (certainty.hasEnded(ref, index)) continue;
      const name = graph.nodes[ref]?.id ?? "";
      const isReader = (edge: FlatEdge): boolean =>
        referencesOf(edge).some(({ path }) => path[0] === "ctx" && path[1] === name);
      const what = `and one cannot be decided by \`${name}\`, which may still run then`;
      report(what, edges.find(isReader));
    }
  });
}

/** None of a text that is wrong: that is reported elsewhere. */
function referencesOf({ condition }: FlatEdge): readonly Reference[] {
  if (condition === null) return [];
  try {
    return compileCondition(condition.source).references;
  } catch {
    return [];
  }
}
