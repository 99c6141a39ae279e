/**
 * What runs while everything is killed: random workflows whose outcome does not depend on who comes
 * first, and what the oracle says of each of their runs; among them those of scenarios.ts.
 */
import { compile, type Ir, type Json } from "../../compiler/index.ts";
import { interpret } from "../../compiler/reference/index.ts";
import { OUTPUT_INLINE_BYTES_MAX } from "../../sdk/internal.ts";
import { oracleHandlers } from "../generate/builtins.ts";
import { SCENARIOS, type Scenario } from "./scenarios.ts";
import { generateWorkflow, type GenerateOptions } from "../generate/workflow.ts";

export interface Workload {
  document: object;
  ir: Ir;
  hash: string;
  /** Its outcome is written down there; else the oracle knows it. */
  scenario?: Scenario;
}

export interface Expected {
  status: string;
  /** JSON value; null for a run that fails. */
  output: Json;
}

/** So many workflows to one scenario. */
const SCENARIO_EVERY = 3;
const KINDS: GenerateOptions[] = [
  { loops: true, pure: true },
  { loops: true, failures: true, handledOnly: true },
  { loops: true, failures: true, continue: true, pure: true },
];

/** `count` workflows, the same for the same seed. `more` is laid over the options of each kind. */
export function makeWorkloads(seed: number, count: number, more: GenerateOptions = {}): Workload[] {
  return Array.from({ length: count }, (_, i) => {
    const scenario =
      i % SCENARIO_EVERY === 0 ? SCENARIOS[(i / SCENARIO_EVERY) % SCENARIOS.length] : undefined;
    if (scenario !== undefined) {
      return { ...compiled(scenario.document), scenario };
    }
    const options = { ...KINDS[i % KINDS.length], ...more, maxNodes: 25 };
    const document = {
      ...generateWorkflow(seed * 1000 + i, options),
      metadata: { name: `chaos-${i}` },
    };
    return compiled(document);
  });
}

/** Throws if it has errors. */
export function compiled(document: object): Workload {
  const { ir, hash, diagnostics } = compile({ document: document as Json });
  if (ir === null || hash === null) {
    throw new Error(`${JSON.stringify(document)} has errors: ${JSON.stringify(diagnostics)}`);
  }
  return { document, ir, hash };
}

/** The input of the n-th run; of every sixteenth one that is large. */
export function inputOf(n: number): Json {
  const text = n % 16 === 5 ? { text: "t".repeat(OUTPUT_INLINE_BYTES_MAX) } : {};
  return { n: n % 7, name: `run-${n}`, list: [n % 5, 3, n % 2], ...text };
}

/** What a run must come to, whatever happens to it on the way. */
export function expectedOf({ ir, scenario }: Workload, runId: string, input: Json): Expected {
  if (scenario !== undefined) {
    return { status: scenario.status, output: scenario.output(input as { n: number }) };
  }
  const { status, output } = interpret(ir, input, { handlers: oracleHandlers(), runId });
  return { status, output: status === "COMPLETED" ? output : null };
}
