/** The output of a run: its template filled in, or what its terminal nodes have put out. */
import { compileTemplate, EvaluationError } from "../../condition/index.ts";
import type { Vars } from "../../condition/index.ts";
import type { Ir, Json } from "../ir.ts";
import { contextSeen, outputSeen } from "./data.ts";
import type { Frame } from "./frame.ts";
import type { NodeResult, ReferenceError } from "./types.ts";

/**
 * The output of a run or an element that ended without an unhandled failure; OUTPUT_FAILED if it
 * has none. `vars` is what is seen besides the graph's own nodes.
 */
export function runOutput(
  ir: Ir,
  top: Frame,
  vars: Vars,
  statusOf: (node: number) => NodeResult["status"],
): { output: Json } | { error: ReferenceError } {
  if (ir.output === undefined) return { output: terminalOutput(ir, top, statusOf) };
  const ctx = { ...vars.ctx, ...contextSeen(ir, top, ir.nodes.keys()) };
  try {
    const output = compileTemplate(ir.output).evaluate({ ...vars, ctx });
    return { output: JSON.parse(JSON.stringify(output)) as Json };
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
    return { error: { code: "OUTPUT_FAILED", message: error.message } };
  }
}

/** Of the only terminal node that completed; of several an object by node id; of none null. */
function terminalOutput(
  ir: Ir,
  top: Frame,
  statusOf: (node: number) => NodeResult["status"],
): Json {
  const outputs = ir.nodes.flatMap((node, index): [string, Json][] => {
    if (!node.is_terminal || statusOf(index) !== "completed") return [];
    return [[node.id, outputSeen(ir, top, index) ?? null]];
  });
  const [first] = outputs;
  if (first === undefined) return null;
  return outputs.length === 1 ? first[1] : Object.fromEntries(outputs);
}
