/**
 * What runs while everything is killed: random workflows whose outcome does not depend on who comes
 * first, and what the oracle says of each of their runs.
 */
import { compile, type Ir, type Json } from "../../compiler/index.ts";
import { interpret } from "../../compiler/reference/index.ts";
import { oracleHandlers } from "../generate/builtins.ts";
import { generateWorkflow, type GenerateOptions } from "../generate/workflow.ts";

export interface Workload {
  document: object;
  ir: Ir;
  hash: string;
}

export interface Expected {
  status: string;
  /** JSON value; null for a run that fails. */
  output: Json;
}

const KINDS: GenerateOptions[] = [
  { loops: true },
  { loops: true, failures: true, handledOnly: true },
  { loops: true, failures: true, continue: true },
];

/** `count` workflows, the same for the same seed. `more` is laid over the options of each kind. */
export function makeWorkloads(seed: number, count: number, more: GenerateOptions = {}): Workload[] {
  return Array.from({ length: count }, (_, i) => {
    const options = { ...KINDS[i % KINDS.length], ...more, maxNodes: 25 };
    const document = {
      ...generateWorkflow(seed * 1000 + i, options),
      metadata: { name: `chaos-${i}` },
    };
    const { ir, hash, diagnostics } = compile({ document });
    if (ir === null || hash === null) {
      throw new Error(
        `seed ${seed}, workflow ${i} does not compile: ${JSON.stringify(diagnostics)}`,
      );
    }
    return { document, ir, hash };
  });
}

/** The input of the n-th run. */
export function inputOf(n: number): Json {
  return { n: n % 7, name: `run-${n}`, list: [n % 5, 3, n % 2] };
}

/** What a run must come to, whatever happens to it on the way. */
export function expectedOf({ ir }: Workload, runId: string, input: Json): Expected {
  const { status, output } = interpret(ir, input, { handlers: oracleHandlers(), runId });
  return { status, output: status === "COMPLETED" ? output : null };
}
