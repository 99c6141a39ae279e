/**
 * Where an accepted run begins that begins in the middle: decided once, when it is accepted, and kept
 * with its row.
 */
import type { Ir } from "../compiler/ir.ts";
import { givenMisfit, startFields, type BlobTaker } from "../sdk/internal.ts";
import type { Submission, SubmissionProblem } from "./submission.ts";

/**
 * JSON text of the fields that the run begins with, null for one that begins at its entries; or why it
 * cannot begin there. Large values of them go to `large`.
 */
export async function startPointOf(
  ir: Ir,
  { start, runId, input }: Pick<Submission, "start" | "runId" | "input">,
  large: BlobTaker,
): Promise<string | null | SubmissionProblem[]> {
  if (start === null) {
    return null;
  }
  // Hardly any run begins so: whoever accepts runs need not load what plans it.
  const { planStart, runVars, START_FLAGS } = await import("../compiler/reference/index.ts");
  const plan = planStart(ir, start, runVars(ir, runId, input), START_FLAGS);
  const messages = "problems" in plan ? plan.problems.map(({ message }) => message) : [];
  if (!("problems" in plan)) {
    messages.push(...misfits(ir, start));
    if (messages.length === 0) {
      return JSON.stringify(startFields(ir, plan, (given) => large.value(given)));
    }
  }
  return messages.map((message) => ({ code: "GV_START_REFUSED", message, path: "start_at" }));
}

function misfits(
  ir: Ir,
  { inputs = {}, outputs = {} }: NonNullable<Submission["start"]>,
): string[] {
  return ir.nodes.flatMap((node) =>
    (["input", "output"] as const).flatMap((what) => {
      const given = what === "input" ? inputs : outputs;
      const value = Object.hasOwn(given, node.id) ? given[node.id] : undefined;
      return (value === undefined ? null : givenMisfit(node, what, value)) ?? [];
    }),
  );
}
