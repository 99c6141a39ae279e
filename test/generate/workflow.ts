/**
 * Random valid workflows for the property tests.
 *
 * They read `n` (a number), `name` (a string) and `list` (numbers) of the run's input, and call
 * only the built-in functions, so the outcome of a run is known without running it (builtins.ts).
 */
import fc from "fast-check";
import type { JsonObject } from "./draft.ts";
import { planArbitrary } from "./plan.ts";
import type { GenerateOptions, WorkflowPlan } from "./plan.ts";
import { renderWorkflow } from "./render.ts";

export type { GenerateOptions } from "./plan.ts";
export type { JsonObject } from "./draft.ts";

/** Documents in the native format; a failing one shrinks to a small valid one. */
export function workflowArbitrary(options: GenerateOptions = {}): fc.Arbitrary<JsonObject> {
  return planArbitrary(options).map((plan) => renderWorkflow(plan, options));
}

/** Inputs that generated workflows can be run with. */
export function inputArbitrary(): fc.Arbitrary<JsonObject> {
  return fc.record({
    n: fc.nat(6),
    name: fc.constantFrom("gavotte", "", "Ä/ß"),
    list: fc.array(fc.nat(5), { maxLength: 4 }),
  });
}

/** The workflow of a seed: the same on every machine. */
export function generateWorkflow(seed: number, options: GenerateOptions = {}): JsonObject {
  return renderWorkflow(planOf(seed, options), options);
}

/** Its plan. */
export function planOf(seed: number, options: GenerateOptions): WorkflowPlan {
  const [plan] = fc.sample(planArbitrary(options), { seed, numRuns: 1 });
  if (!plan) throw new Error("fast-check gave no sample");
  return plan;
}
