/**
 * What a pass is: it looks at the IR of one graph and changes it so that nothing that can be
 * observed of a run is different - statuses, outputs, errors, attempts, the order where there is
 * one. compiler/passes/passes.test.ts lets the reference interpreter judge that.
 *
 * A pass must be deterministic: the hash of the IR, its identity, is taken after the last of them.
 * No pass takes nodes out: people see every node that they wrote, as skipped if need be.
 */
import type { Ir } from "../ir.ts";

/** Something that a pass did. */
export interface PassNote {
  pass: string;
  /** Id of the node it is about. */
  node: string;
  text: string;
}

export interface Pass {
  name: string;
  /** What it does, in a sentence. */
  about: string;
  /** Only if asked for. */
  isOptional?: true;
  /** Changes the IR in place; nobody else has it yet. */
  run(ir: Ir, note: (node: number, text: string) => void): void;
}
