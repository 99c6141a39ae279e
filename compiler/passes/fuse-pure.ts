/**
 * Pure nodes are evaluated by the worker that finished the node before, in the same step.
 *
 * A pure node with one in-edge in the same scope never crosses a queue: there is nothing that it
 * could wait for. Heads and latches are boundaries of scopes, and what is tried again needs a token
 * of its own. So does what a join may cancel in the very step that would evaluate it.
 *
 * A function that its author calls pure may be evaluated there, too, where the worker has it. If it
 * fails there that does not count: it then is a step of its own, with its retries. What is held back
 * before it may begin needs a token for that.
 */
import type { Ir, IrNode } from "../ir.ts";
import type { Pass } from "./pass.ts";

export const FUSE_PURE: Pass = {
  name: "fuse-pure",
  about: "pure nodes run in the step of the node before them",
  run(ir, note) {
    const losers = new Set(ir.nodes.flatMap(({ join }) => join.losers ?? []));
    ir.nodes.forEach((node, index) => {
      const mayFollow = follows(ir, node) && !(losers.has(index) && hasSiblings(ir, node));
      node.fusible = mayFollow && node.pure && node.retry.max_attempts === 1;
      if (mayFollow && node.pure_function === true && !isHeldBack(node)) node.ahead = true;
      const before = ir.nodes[ir.edges[node.in[0] ?? -1]?.from ?? -1]?.id ?? "";
      if (node.fusible) note(index, `runs in the step of \`${before}\``);
      if (node.ahead) note(index, `may be called in the step of \`${before}\``);
    });
  },
};

/** Whether it has one way in, from the same scope, and the workflow lets it follow there. */
function follows(ir: Ir, node: IrNode): boolean {
  const [first, ...others] = node.in;
  if (first === undefined || others.length > 0 || ir.settings.fusion === false) return false;
  const before = ir.nodes[ir.edges[first]?.from ?? -1];
  const isBoundary = node.latch_of !== null || node.head_of.length > 0;
  return !isBoundary && before?.loop === node.loop;
}

function isHeldBack(node: IrNode): boolean {
  const { rate_limit: rate, circuit_breaker: circuit, queue_timeout_ms: limit } = node;
  return rate !== undefined || circuit !== undefined || limit !== undefined;
}

/** Whether the node before leads to others, too: one of them may be the join that cancels this one. */
function hasSiblings(ir: Ir, node: IrNode): boolean {
  return (ir.nodes[ir.edges[node.in[0] ?? -1]?.from ?? -1]?.out.length ?? 0) > 1;
}
