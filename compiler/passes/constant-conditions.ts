/**
 * Conditions without anything of the data in them are evaluated here, once.
 *
 * `1 < 2` becomes `true`, and where an edge decides for itself it becomes no condition at all. In a
 * first-match node an edge without a condition is the default, which is tried last: there it stays
 * `true`. What cannot be evaluated stays as it is: it is a failure of the run, not of the compiler.
 */
import { compileCondition } from "../../condition/index.ts";
import type { Ir } from "../ir.ts";
import type { Pass } from "./pass.ts";

export const CONSTANT_CONDITIONS: Pass = {
  name: "constant-conditions",
  about: "conditions that read nothing are evaluated once",
  run(ir, note) {
    for (const edge of ir.edges) {
      const value = constantOf(edge.condition);
      if (value === undefined) continue;
      const isOwn = ir.nodes[edge.from]?.routing === "each" || edge.on !== "success";
      const condition = value && isOwn ? null : String(value);
      if (condition === edge.condition) continue;
      const to = ir.nodes[edge.to]?.id ?? "";
      note(edge.from, `\`${edge.condition ?? ""}\` to \`${to}\` is always ${value}`);
      edge.condition = condition;
    }
    foldLoops(ir, note);
  },
};

function foldLoops(ir: Ir, note: (node: number, text: string) => void): void {
  for (const loop of ir.loops) {
    const value = constantOf(loop.condition);
    if (value === undefined || String(value) === loop.condition) continue;
    note(loop.latch, `its loop's condition \`${loop.condition}\` is always ${value}`);
    loop.condition = String(value);
  }
}

function constantOf(source: string | null): boolean | undefined {
  if (source === null) return undefined;
  try {
    const condition = compileCondition(source);
    return condition.references.length === 0 ? condition.test({}) : undefined;
  } catch {
    // Not to be evaluated: then the node fails when it comes to it.
    return undefined;
  }
}
