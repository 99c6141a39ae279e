/** Small random graphs for the analyses, from a number: the same on every machine. */
import type { Ir, Json } from "../ir.ts";
import { compile } from "../index.ts";
import type { CompileOptions } from "../index.ts";
import { seededOrder } from "../reference/index.ts";

export interface RandomGraphOptions {
  nodesMax: number;
  loops?: boolean;
  /** Most edges come from the first few nodes, and every join waits for all. */
  isWide?: boolean;
  compile?: CompileOptions;
}

const CONDITIONS = [
  ...["output.a", "!output.a", "output.b", "output.k > 0", "output.k > 1", "output.k <= 1"],
  ...[
    "output.a && output.k > 1",
    "false",
    "true",
    "output.k > 1 && output.k < 1",
    "output.k in [0, 1]",
  ],
];
const LOOPS = ["output.a", "iteration < 2", "false", "true", "output.k > 1 && iteration < 2"];

/** A graph that compiles; seeds whose graph does not give undefined. */
export function randomGraph(seed: number, options: RandomGraphOptions): Ir | undefined {
  return compile({ document: randomDocument(seed, options) }, options.compile).ir ?? undefined;
}

/** The workflow of a seed, whether it compiles or not. */
export function randomDocument(seed: number, options: RandomGraphOptions): object {
  const order = seededOrder(seed);
  const pick = (count: number): number => order(Array.from({ length: count }) as never, []);
  const some = <T>(list: readonly T[]): T => list[pick(list.length)] as T;
  const count = 2 + pick(options.nodesMax - 1);
  const nodes = Array.from({ length: count }, (_, i): { [key: string]: Json } => {
    const config: { [key: string]: Json } = { function_name: "f" };
    const node: { [key: string]: Json } = { id: `n${i}`, type: "function", config };
    const kind = pick(6);
    if (kind < 2) {
      node["type"] = "conditional";
      node["config"] = {
        ...(kind === 1 ? { mode: "all" } : {}),
        ...(pick(3) === 0 ? { on_no_match: "skip" } : {}),
      };
    }
    const join = options.isWide === true ? 2 : pick(5);
    if (join === 0) node["join"] = "any";
    if (join === 1) node["join"] = { count: 2 };
    if (options.loops && kind >= 2 && pick(4) === 0) {
      const back = `n${Math.max(0, i - pick(3))}`;
      node["loop"] = { condition: some(LOOPS), max_iterations: 1 + pick(2), loop_back_to: back };
    }
    return node;
  });
  const edges: { [key: string]: Json }[] = [];
  for (let to = 1; to < count; to++) {
    const degree = Math.min(to, pick(8) === 0 ? 0 : 1 + pick(3));
    const from = options.isWide === true ? Math.min(to, 2) : to;
    const froms = new Set(Array.from({ length: degree }, () => pick(from)));
    for (const from of froms) {
      const on = some(["success", "success", "success", "success", "error", "always", "timeout"]);
      const hasCondition = pick(2) === 0;
      edges.push({
        ...{ from: `n${from}`, to: `n${to}` },
        ...(on === "success" ? {} : { on }),
        ...(hasCondition ? { condition: some(CONDITIONS) } : {}),
      });
    }
  }
  const settings = { failure: some(["fail_fast", "fail_fast", "continue"]) };
  return { name: "random", nodes, edges, settings };
}
