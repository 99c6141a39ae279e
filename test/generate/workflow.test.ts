/**
 * The generator makes valid workflows of every sort that it promises, and the interpreter's result
 * for them does not depend on the order where it must not. GAVOTTE_SEED and GAVOTTE_CASES look for
 * others.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compile } from "../../compiler/index.ts";
import type { Ir, IrEdge, IrNode, Json } from "../../compiler/index.ts";
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
  ["with maps", { loops: true, waits: true, maps: true }],
  [
    "with maps and failures that are handled",
    { loops: true, failures: true, handledOnly: true, maps: true },
  ],
  ["with maps, that go on", { loops: true, failures: true, continue: true, maps: true }],
  ["with any and count joins", { loops: true, anyJoins: true }],
  ["with everything", { loops: true, anyJoins: true, failures: true }],
  ["with everything and maps", { loops: true, anyJoins: true, failures: true, maps: true }],
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

function outcome({ trace: _, ...rest }: InterpretResult): object {
  return rest;
}

/** Conditions that ask for nodes which need not have ended where they are evaluated. */
function racingConditions(ir: Ir): string[] {
  const ended = new Map<number, Set<string>>();
  for (const index of ir.analysis.levels.flat()) {
    const node = ir.nodes[index] as IrNode;
    const before = node.in.map((edge) => {
      const { from } = ir.edges[edge] as IrEdge;
      return new Set([...(ended.get(from) ?? []), ir.nodes[from]?.id ?? ""]);
    });
    const waits = node.join.kind === "all";
    const some = before.flatMap((ids) => [...ids]);
    const isIn = (id: string): boolean => waits || before.every((ids) => ids.has(id));
    ended.set(index, new Set(some.filter(isIn)));
  }
  const asked = [
    ...ir.edges.map(({ from, condition }) => ({ from, condition })),
    ...ir.loops.map(({ latch, condition }) => ({ from: latch, condition })),
  ];
  return asked.flatMap(({ from, condition }) => {
    const ids = [...(condition ?? "").matchAll(/ctx(?:\.(\w+)|\["([^"]+)"\])/g)];
    const isSettled = ids.every(([, id, quoted]) => ended.get(from)?.has(id ?? quoted ?? ""));
    return isSettled ? [] : [condition ?? ""];
  });
}

describe("generated workflows", () => {
  it.each(KINDS)(
    "%s are valid and end",
    (_, options) => {
      const workflows = workflowArbitrary(options);
      fc.assert(
        fc.property(workflows, inputArbitrary(), fc.integer(), (document, input, seed) => {
          const { nodes, elements } = run(compiled(document), input, seededOrder(seed));
          const all = [nodes, ...Object.values(elements)].flatMap((some) => Object.values(some));
          const codes = all.map(({ error }) => error?.code);
          expect(codes).not.toContain("BAD_INPUT");
        }),
        { numRuns: RUNS, seed: SEED },
      );
    },
    60_000,
  );

  it.each(KINDS.slice(0, 7))(
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

  it("ask in conditions for nodes that have ended by then, whoever came first at a join", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const ir = compiled(generateWorkflow(seed, { loops: true, anyJoins: true, failures: true }));
      expect(racingConditions(ir), `seed ${seed}`).toEqual([]);
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

describe("among two hundred generated workflows with maps", () => {
  const options = { loops: true, failures: true, continue: true, maps: true };
  const all = Array.from({ length: 200 }, (_, i) => {
    const ir = compiled(generateWorkflow(i + 1, options));
    return { ir, result: run(ir, INPUT, seededOrder(i)) };
  });
  const maps = (ir: Ir): IrNode[] =>
    ir.nodes.flatMap((node) => (node.body ? [node, ...maps(node.body)] : []));
  const someMap = (holds: (map: IrNode, body: Ir) => boolean) => (ir: Ir) =>
    maps(ir).some((map) => map.body !== undefined && holds(map, map.body));
  const wanted: [string, (ir: Ir, result: InterpretResult) => boolean][] = [
    ["a map in a map", someMap((_, body) => maps(body).length > 0)],
    ["a map in a loop", someMap((map) => map.loop !== null)],
    ["a map that is the head of a loop", someMap((map) => map.head_of.length > 0)],
    ["a loop in a body", someMap((_, body) => body.loops.length > 0)],
    ["a join in a body", someMap((_, body) => body.nodes.some((n) => n.join.arity > 1))],
    ["a body with several entries", someMap((_, body) => body.analysis.roots.length > 1)],
    ["a body of one node", someMap((_, body) => body.nodes.length === 1)],
    ["a body that reads what is outside", someMap((map) => map.outer_refs?.length !== 0)],
    ["a body with an output of its own", someMap((_, body) => body.output !== undefined)],
    ["a map with no elements", (_, r) => r.trace.some((step) => step.count === 0)],
    ["elements that run at the same time", (_, r) => isInterleaved(r)],
    ["a retry in an element", (_, r) => inElement(r, "node.retrying")],
    ["a failed map", (ir, r) => maps(ir).some(({ id }) => r.nodes[id]?.error !== undefined)],
    ["a map that goes on with failures", (ir, r) => maps(ir).some(({ id }) => hasNull(r, id))],
  ];
  it.each(wanted)("there is %s", (_, holds) => {
    expect(all.some(({ ir, result }) => holds(ir, result))).toBe(true);
  });

  it("no body keeps a run from its end", () => {
    expect(all.map(({ result }) => result.status)).not.toContain("WAITING");
  });
});

function inElement(result: InterpretResult, event: string): boolean {
  return result.trace.some((step) => step.event === event && step.home !== undefined);
}

/** Something of one element happens between two things of another one. */
function isInterleaved(result: InterpretResult): boolean {
  const homes = result.trace.flatMap(({ home }) => home ?? []);
  return homes.some((home, i) => homes[i - 1] !== home && homes.indexOf(home) < i - 1);
}

function hasNull(result: InterpretResult, map: string): boolean {
  const output = result.nodes[map]?.output;
  return Array.isArray(output) && output.includes(null);
}

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
