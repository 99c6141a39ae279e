/**
 * Pure nodes are evaluated by the worker that finished the node before, in the same step.
 *
 * A pure node with one in-edge in the same scope never crosses a queue: there is nothing that it
 * could wait for. Heads and latches are boundaries of scopes, and what is tried again needs a token
 * of its own. So does what a join may cancel in the very step that would evaluate it.
 */
import type { Ir, IrNode } from "../ir.ts";
import type { Pass } from "./pass.ts";

export const FUSE_PURE: Pass = {
  name: "fuse-pure",
  about: "pure nodes run in the step of the node before them",
  run(ir, note) {
    const losers = new Set(ir.nodes.flatMap(({ join }) => join.losers ?? []));
    ir.nodes.forEach((node, index) => {
      node.fusible = isFusible(ir, node) && !(losers.has(index) && hasSiblings(ir, node));
      const before = ir.edges[node.in[0] ?? -1]?.from ?? -1;
      if (node.fusible) note(index, `runs in the step of \`${ir.nodes[before]?.id ?? ""}\``);
    });
  },
};

function isFusible(ir: Ir, node: IrNode): boolean {
  const [first, ...others] = node.in;
  if (first === undefined || others.length > 0 || !node.pure) return false;
  const before = ir.nodes[ir.edges[first]?.from ?? -1];
  const isBoundary = node.latch_of !== null || node.head_of.length > 0;
  return node.retry.max_attempts === 1 && !isBoundary && before?.loop === node.loop;
}

/** Whether the node before leads to others, too: one of them may be the join that cancels this one. */
function hasSiblings(ir: Ir, node: IrNode): boolean {
  return (ir.nodes[ir.edges[node.in[0] ?? -1]?.from ?? -1]?.out.length ?? 0) > 1;
}
