/**
 * Straight chains: nodes one after the other that one worker may run without a queue hop.
 *
 * From a node to its only successor that has no other in-edge, in the same scope and queue. Not
 * where a token may have to wait outside of the worker: nodes that are tried again after a pause,
 * that are rate-limited or limited in their time in the queue, that park. Pure nodes that are fused
 * belong to the chain in whose steps they run. Priority is the run's, so it is the same all along.
 *
 * It is a mark. A worker may also go on where there is none (worker/chain.ts decides by the
 * activations that a result really makes), and need not where there is one.
 */
import type { Ir, IrNode, NodeType } from "../ir.ts";
import type { Pass } from "./pass.ts";

/** Kinds whose tokens leave the worker before they end. */
const PARKED: ReadonlySet<NodeType> = new Set([
  ...(["delay", "wait", "human", "subworkflow", "map"] as const),
]);

export const MARK_CHAINS: Pass = {
  name: "mark-chains",
  about: "chains of one queue can be run by one worker without going through it",
  run(ir, note) {
    const first = ir.nodes.map((_, index) => index);
    /** Queue of the last node of a chain that went through one. */
    const queues = ir.nodes.map((node) => node.queue);
    ir.nodes.forEach((node, index) => {
      const before = predecessor(ir, node);
      if (before === undefined || !joins(ir, before, node, queues[before])) return;
      const start = first[before] ?? before;
      first[index] = start;
      if (node.fusible) queues[index] = queues[before] ?? node.queue;
      node.chain = start;
      const head = ir.nodes[start];
      if (head) head.chain = start;
    });
    for (const [start, length] of lengths(ir)) {
      note(start, `begins a chain of ${length} nodes`);
    }
  },
};

/** The node before, if it is the only one and leads nowhere else. */
function predecessor(ir: Ir, node: IrNode): number | undefined {
  const [edge, ...others] = node.in;
  if (edge === undefined || others.length > 0) return undefined;
  const from = ir.edges[edge]?.from ?? -1;
  return ir.nodes[from]?.out.length === 1 ? from : undefined;
}

function joins(ir: Ir, from: number, node: IrNode, queue: number | undefined): boolean {
  const before = ir.nodes[from];
  if (!before || ir.settings.fusion === false) return false;
  const isSameScope = before.loop === node.loop && before.latch_of === null;
  const isBoundary = node.head_of.length > 0 || node.latch_of !== null;
  if (!isSameScope || isBoundary || !staysHere(before) || !staysHere(node)) return false;
  return node.fusible || node.queue === queue;
}

function staysHere(node: IrNode): boolean {
  const isLimited =
    node.rate_limit !== undefined ||
    node.circuit_breaker !== undefined ||
    node.queue_timeout_ms !== undefined;
  return node.retry.max_attempts === 1 && !isLimited && !PARKED.has(node.type);
}

function lengths(ir: Ir): Map<number, number> {
  const found = new Map<number, number>();
  for (const { chain } of ir.nodes) {
    if (chain !== undefined) found.set(chain, (found.get(chain) ?? 0) + 1);
  }
  return found;
}
