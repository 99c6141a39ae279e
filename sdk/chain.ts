/**
 * Straight chains as everybody must see them: several tokens that share the stream entry of the
 * first (21 A11; the worker's side is worker/chain.ts).
 */
import type { Ir } from "../compiler/ir.ts";

/** Nodes behind the first among which a chain's active token is looked for. */
const REACH_MAX = 256;

/** Nodes that a chain which began at `start` may have come to, in topological order. */
export function chainReach(ir: Ir, start: number): number[] {
  const first = ir.nodes[start];
  const found = new Set<number>();
  const stack = [start];
  for (let at = stack.pop(); at !== undefined && found.size < REACH_MAX; at = stack.pop()) {
    for (const edge of ir.nodes[at]?.out ?? []) {
      const to = ir.edges[edge]?.to ?? -1;
      const node = ir.nodes[to];
      const isHead = (node?.head_of.length ?? 0) > 0;
      // A map has an entry of its own: it is acknowledged when its elements run.
      if (node?.type === "map") {
        continue;
      }
      if (node?.in.length === 1 && node.loop === first?.loop && !isHead && !found.has(to)) {
        found.add(to);
        stack.push(to);
      }
    }
  }
  return [...found].sort((a, b) => a - b);
}
