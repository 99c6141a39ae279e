/**
 * A simulation is the interpreter with other handlers, on a stage with few workers: for generated
 * workflows whose result does not depend on the order it comes to what the interpreter alone comes
 * to, and with more workers it is never the result that changes.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NO_MOCKS } from "../../cmd/simulation/mocks.ts";
import { simulate, type Capacity } from "../../cmd/simulation/simulate.ts";
import { compile } from "../../compiler/index.ts";
import type { Ir, Json } from "../../compiler/index.ts";
import { interpret } from "../../compiler/reference/index.ts";
import { oracleHandlers } from "./builtins.ts";
import { inputArbitrary, workflowArbitrary, type GenerateOptions } from "./workflow.ts";

const KINDS: [string, GenerateOptions][] = [
  ["plain", {}],
  ["with loops", { loops: true }],
  ["with failures that are handled", { loops: true, failures: true, handledOnly: true }],
  ["that go on after failures", { loops: true, failures: true, continue: true }],
  ["with maps", { loops: true, maps: true }],
  ["with maps, that go on", { loops: true, failures: true, continue: true, maps: true }],
];
const RUNS = Number(process.env["GAVOTTE_CASES"] ?? 25);
const SEED = Number(process.env["GAVOTTE_SEED"] ?? 1);

function compiled(document: Json): Ir {
  const { ir } = compile({ document });
  if (ir === null) throw new Error("the generator has made an invalid workflow");
  return ir;
}

function play(ir: Ir, input: Json, capacity: Capacity) {
  const { status, output, failed_nodes, path, ms } = simulate(ir, input, {
    ...{ mocks: NO_MOCKS, seed: 1, capacity },
  });
  return { result: { status, output, failed_nodes }, ends: [...path].sort(), ms };
}

describe("simulations of generated workflows", () => {
  it.each(KINDS)(
    "%s come to what the interpreter comes to, on any number of workers",
    (_, options) => {
      const numbers = fc.integer({ min: 1, max: 4 });
      const property = fc.property(
        ...([workflowArbitrary(options), inputArbitrary(), numbers] as const),
        (document, input, count) => {
          const ir = compiled(document);
          const alone = interpret(ir, input, { handlers: oracleHandlers() });
          const { status, output, failed_nodes } = alone;
          const few = play(ir, input, { workers: new Map([["default", count]]) });
          const many = play(ir, input, {});
          expect(few.result).toEqual({ status, output, failed_nodes });
          expect(many.result).toEqual(few.result);
          expect(many.ends).toEqual(few.ends);
        },
      );
      fc.assert(property, { numRuns: RUNS, seed: SEED });
    },
  );
});
