/**
 * The passes in their order: conditions first, because what is dead and straight depends on them;
 * chains after the order of steps, because they stay in one queue.
 */
import type { Ir } from "../ir.ts";
import { COALESCE } from "./coalesce.ts";
import { CONSTANT_CONDITIONS } from "./constant-conditions.ts";
import { DEAD_CODE } from "./dead-code.ts";
import { FUSE_PURE } from "./fuse-pure.ts";
import { MARK_CHAINS } from "./mark-chains.ts";
import { ORDER_STEPS } from "./order-steps.ts";
import type { Pass, PassNote } from "./pass.ts";

export type { PassNote } from "./pass.ts";

/** Every pass there is. */
export const PASSES: readonly Pass[] = [
  ...[CONSTANT_CONDITIONS, DEAD_CODE, FUSE_PURE, ORDER_STEPS, MARK_CHAINS, COALESCE],
];

export interface PassOptions {
  /** Mark nodes that make equal requests. */
  coalesce?: boolean;
}

/** Run the passes on the IR of one graph, in place; bodies of maps have had theirs. */
export function optimise(ir: Ir, options: PassOptions = {}): PassNote[] {
  return PASSES.flatMap((pass) => {
    if (pass.isOptional && options.coalesce !== true) return [];
    const notes: PassNote[] = [];
    pass.run(ir, (node, text) => {
      notes.push({ pass: pass.name, node: ir.nodes[node]?.id ?? "", text });
    });
    return notes;
  });
}
