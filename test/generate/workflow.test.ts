/**
 * The generator makes valid workflows of every sort that it promises, and the interpreter's result
 * for them does not depend on the order where it must not. GAVOTTE_SEED and GAVOTTE_CASES look for
 * others.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compile } from "../../compiler/index.ts";
import type { Ir, Json } from "../../compiler/index.ts";
import { interpret, lastCome, seededOrder } from "../../compiler/reference/index.ts";
import type { InterpretResult, Scheduler } from "../../compiler/reference/index.ts";
import { oracleHandlers } from "./builtins.ts";
import { generateWorkflow, inputArbitrary, workflowArbitrary } from "./workflow.ts";
import type { GenerateOptions } from "./workflow.ts";

const KINDS: [string, GenerateOptions][] = [
  ["plain", {}],
  ["with loops and waits", { loops: true, waits: true }],
  ["with failures that are handled", { loops: true, failures: true, handledOnly: true }],
  ["that go on after failures", { loops: true, failures: true, continue: true }],
  ["with any and count joins", { loops: true, anyJoins: true }],
  ["with everything", { loops: true, anyJoins: true, failures: true }],
  ["with everything, that go on", { loops: true, anyJoins: true, failures: true, continue: true }],
];
const RUNS = Number(process.env["GAVOTTE_CASES"] ?? 100);
const SEED = Number(process.env["GAVOTTE_SEED"] ?? 1);
const INPUT: Json = { n: 3, name: "gavotte", list: [3, 1, 2] };

function compiled(document: Json): Ir {
  const { ir, diagnostics } = compile({ document });
  if (ir) return ir;
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  throw new Error(errors.map((d) => `${d.code} ${d.pointer}: ${d.message}`).join("\n"));
}

function run(ir: Ir, input: Json, order?: Scheduler): InterpretResult {
  const handlers = oracleHandlers();
  return interpret(ir, input, order ? { handlers, order } : { handlers });
}

function outcome({ status, output, error, failed_nodes, nodes }: InterpretResult): object {
  return { status, output, error, failed_nodes, nodes };
}

describe("generated workflows", () => {
  it.each(KINDS)(
    "%s are valid and end",
    (_, options) => {
      const workflows = workflowArbitrary(options);
      fc.assert(
        fc.property(workflows, inputArbitrary(), fc.integer(), (document, input, seed) => {
          const { nodes } = run(compiled(document), input, seededOrder(seed));
          const codes = Object.values(nodes).map(({ error }) => error?.code);
          expect(codes).not.toContain("BAD_INPUT");
        }),
        { numRuns: RUNS, seed: SEED },
      );
    },
    60_000,
  );

  it.each(KINDS.slice(0, 4))(
    "%s have one outcome whatever the order",
    (_, options) => {
      const workflows = workflowArbitrary(options);
      fc.assert(
        fc.property(workflows, inputArbitrary(), fc.integer(), (document, input, seed) => {
          const ir = compiled(document);
          const expected = outcome(run(ir, input));
          expect(outcome(run(ir, input, seededOrder(seed)))).toEqual(expected);
          expect(outcome(run(ir, input, lastCome))).toEqual(expected);
        }),
        { numRuns: RUNS, seed: SEED },
      );
    },
    60_000,
  );

  it("only fail where failures are asked for", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const ir = compiled(generateWorkflow(seed, { loops: true, anyJoins: true }));
      expect(run(ir, INPUT).status).toBe("COMPLETED");
    }
  });

  it("are the same for the same seed", () => {
    const options = { loops: true, anyJoins: true, failures: true };
    expect(generateWorkflow(7, options)).toEqual(generateWorkflow(7, options));
    expect(generateWorkflow(7, options)).not.toEqual(generateWorkflow(8, options));
  });
});

describe("among two hundred generated workflows", () => {
  const options = { loops: true, anyJoins: true, failures: true, continue: true };
  const all = Array.from({ length: 200 }, (_, i) => {
    const ir = compiled(generateWorkflow(i + 1, options));
    return { ir, result: run(ir, INPUT, seededOrder(i)) };
  });
  const some = (holds: (ir: Ir, result: InterpretResult) => boolean): boolean =>
    all.some(({ ir, result }) => holds(ir, result));
  const hasJoin = (
    result: InterpretResult,
    outcome: string,
    ...values: (string | null)[]
  ): boolean =>
    result.trace.some(
      (step) => step.outcome === outcome && values.every((v) => step.arrivals?.includes(v as null)),
    );

  const wanted: [string, (ir: Ir, result: InterpretResult) => boolean][] = [
    ["nested loops", (ir) => ir.loops.some(({ parent }) => parent !== null)],
    ["loops that share a head", (ir) => ir.nodes.some((node) => node.head_of.length > 1)],
    ["a loop that is its own head", (ir) => ir.loops.some(({ head, latch }) => head === latch)],
    ["a join at the head of a loop", (ir) => ir.loops.some((l) => arity(ir, l.head) > 1)],
    ["a join at the latch of a loop", (ir) => ir.loops.some((l) => arity(ir, l.latch) > 1)],
    ["a token that is void", (_, r) => r.trace.some(({ event }) => event === "node.voided")],
    ["a latch that dies after a round", (ir, r) => ir.loops.some((l) => hasDied(ir, r, l.latch))],
    ["a timeout path that is taken", (ir, r) => r.trace.some((t) => isExhausted(ir, t))],
    ["a join that fires with dead arrivals", (_, r) => hasJoin(r, "fired", "live", "dead")],
    ["a join that fires with failed ones", (_, r) => hasJoin(r, "fired", "live", "failed")],
    ["a join of failed and live", (_, r) => hasJoin(r, "failed", "live", "failed")],
    ["a skipped join that had live tokens", (_, r) => hasJoin(r, "skipped", "live", "dead")],
    ["a retry", (_, r) => r.trace.some(({ event }) => event === "node.retrying")],
    ["a pure entry", (ir) => ir.nodes.some((node) => node.pure && node.is_entry)],
    ["a pure join", (ir) => ir.nodes.some((node) => node.pure && node.join.arity > 1)],
    ["several terminal nodes", (ir) => ir.nodes.filter((n) => n.is_terminal).length > 1],
    [
      "two edges between the same nodes",
      (ir) => new Set(ir.edges.map(ends)).size < ir.edges.length,
    ],
  ];
  it.each(wanted)("there is %s", (_, holds) => {
    expect(some(holds)).toBe(true);
  });
});

function arity(ir: Ir, node: number): number {
  return ir.nodes[node]?.join.arity ?? 0;
}

function hasDied(ir: Ir, result: InterpretResult, latch: number): boolean {
  const node = result.nodes[ir.nodes[latch]?.id ?? ""];
  return node?.status === "skipped" && node.activations > 0;
}

function isExhausted(ir: Ir, { node, edges }: InterpretResult["trace"][number]): boolean {
  const from = ir.nodes.findIndex(({ id }) => id === node);
  const out = ir.nodes[from]?.out ?? [];
  return out.some(
    (edge, place) => ir.edges[edge]?.on === "exhausted" && edges?.[place]?.value === "live",
  );
}

function ends({ from, to }: Ir["edges"][number]): string {
  return `${from}>${to}`;
}
