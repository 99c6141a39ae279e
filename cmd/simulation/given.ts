/** What a simulation begins with: an input that fits, or a node in the middle where a run can begin. */
import { compileTemplate, EvaluationError } from "../../condition/index.ts";
import type { Ir, Json } from "../../compiler/index.ts";
import { nodesNotRun, planStart, runVars, type Start } from "../../compiler/reference/index.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Mocks } from "./mocks.ts";

export { assertInput } from "../../sdk/internal.ts";

/** Outputs that the mocks have for nodes which do not run; those that depend on data are left out. */
export function givenByMocks(ir: Ir, node: string, { nodes }: Mocks): { [id: string]: Json } {
  const outputs = nodesNotRun(ir, [node]).flatMap((id): [string, Json][] => {
    const output = nodes.get(id)?.output;
    if (output === undefined) return [];
    try {
      return [[id, compileTemplate(output).evaluate({})]];
    } catch (error) {
      if (error instanceof EvaluationError) return [];
      throw error;
    }
  });
  return Object.fromEntries(outputs);
}

/** Throws GV_BAD_INPUT with every reason why a run with this input cannot begin there. */
export function assertStart(ir: Ir, start: Start, input: Json): void {
  const plan = planStart(ir, start, runVars(ir, "simulated", input));
  if (!("problems" in plan)) return;
  const problems = plan.problems.map(({ message }) => message);
  const message = `a run cannot start at "${start.at.join('", "')}":\n  ${problems.join("\n  ")}`;
  throw new GavotteError("GV_BAD_INPUT", message, { details: { problems } });
}
