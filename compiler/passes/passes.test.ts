/**
 * The passes against the reference interpreter: what can be observed of a run is the same with them
 * and without. Seeds from 1; GAVOTTE_CASES says how many.
 */
import { describe, expect, it } from "vitest";
import { oracleHandlers } from "../../test/generate/builtins.ts";
import { generateWorkflow, type GenerateOptions } from "../../test/generate/workflow.ts";
import { randomGraph } from "../analysis/random-graph.fixture.ts";
import { executeAll } from "../analysis/exhaustive.fixture.ts";
import { compile } from "../index.ts";
import type { Ir, Json, PassNote } from "../index.ts";
import { interpret } from "../reference/index.ts";
import { optimise } from "./index.ts";

const CASES = Number(process.env["GAVOTTE_CASES"] ?? 200);
const CALM: GenerateOptions = { loops: true };
const KINDS: { [name: string]: GenerateOptions } = {
  calm: CALM,
  "failures and continue": { ...CALM, failures: true, continue: true },
  "any and count joins": { ...CALM, anyJoins: true, failures: true },
};

const INPUT = { n: 3, name: "gavotte", list: [3, 1, 2] };

describe.each(Object.entries(KINDS))("runs of generated workflows: %s", (_, options) => {
  it("are the same with the passes and without", () => {
    for (let seed = 1; seed <= CASES; seed++) {
      const document = generateWorkflow(seed, options);
      const [plain, optimised] = [false, true].map((isOn) => {
        const { ir } = compile({ document }, { optimise: isOn, coalesce: true });
        if (!ir) throw new Error(`seed ${seed} is not valid`);
        return interpret(ir, INPUT, { handlers: oracleHandlers() });
      });
      expect(optimised, `seed ${seed}`).toEqual(plain);
    }
  });
});

describe("all executions of small graphs", () => {
  it("are the same with the passes and without, and what is marked never runs", () => {
    let marked = 0;
    for (let seed = 1; seed <= CASES; seed++) {
      const ir = randomGraph(seed, { nodesMax: 5, loops: seed % 2 === 0 });
      if (!ir) continue;
      const changed = structuredClone(ir);
      optimise(changed);
      const limits = { executionsMax: 500, orders: false };
      const [before, after] = [executeAll(ir, limits), executeAll(changed, limits)];
      expect(after, `seed ${seed}`).toEqual(before);
      for (const node of changed.nodes.filter(({ never }) => never)) {
        expect(before.runs.has(node.id), `seed ${seed}`).toBe(false);
        marked++;
      }
    }
    expect(marked).toBeGreaterThan(0);
  });
});

type JsonObject = { [key: string]: Json };

function compiled(
  nodes: JsonObject[],
  edges: [string, string, string?][],
  options: { coalesce?: boolean; optimise?: boolean } = {},
): { ir: Ir; notes: PassNote[] } {
  const { ir, notes, diagnostics } = compile(
    {
      document: {
        name: "w",
        nodes,
        edges: edges.map(([from, to, condition]) => ({
          from,
          to,
          ...(condition === undefined ? {} : { condition }),
        })),
      },
    },
    options,
  );
  if (!ir) throw new Error(JSON.stringify(diagnostics));
  return { ir, notes };
}

const fn = (id: string, more: JsonObject = {}): JsonObject => ({
  ...{ id, type: "function", config: { function_name: "f" } },
  ...more,
});
const get = (id: string, url: string): JsonObject => ({ id, type: "http", config: { url } });
const marks = (ir: Ir, mark: "chain" | "never" | "same_as"): string[] =>
  ir.nodes.filter((node) => node[mark] !== undefined).map(({ id }) => id);

describe("each pass", () => {
  it("evaluates conditions that read nothing, and keeps those that cannot be evaluated", () => {
    const { ir } = compiled(
      [fn("a"), fn("b"), fn("c"), fn("d")],
      [
        ["a", "b", "1 < 2"],
        ["a", "c", "2 in [1]"],
        ["a", "d", "1 / 0 == 1"],
      ],
    );
    expect(ir.edges.map(({ condition }) => condition)).toEqual([null, "false", "1 / 0 == 1"]);
  });

  it("marks what can never run, and what follows from it", () => {
    const { ir, notes } = compiled(
      [fn("a"), fn("b"), fn("c"), fn("d")],
      [
        ["a", "b", "output.n > 5 && output.n < 3"],
        ["b", "c"],
        ["a", "d"],
      ],
    );
    expect(marks(ir, "never")).toEqual(["b", "c"]);
    expect(notes.filter(({ pass }) => pass === "dead-code")).toHaveLength(2);
  });

  it("marks chains of one queue, through pure nodes, not over retries and other queues", () => {
    const retry = { retry: { max_attempts: 2 } };
    const { ir } = compiled(
      [
        fn("a"),
        { id: "p", type: "noop" },
        fn("b"),
        fn("r", retry),
        fn("s"),
        fn("t", { queue: "q" }),
      ],
      [
        ["a", "p"],
        ["p", "b"],
        ["b", "r"],
        ["r", "s"],
        ["s", "t"],
      ],
    );
    expect(marks(ir, "chain")).toEqual(["a", "p", "b"]);
    expect(ir.nodes.flatMap(({ chain }) => chain ?? [])).toEqual([0, 0, 0]);
  });

  it("marks equal requests only if asked to", () => {
    const nodes = [get("x", "http://e/1"), get("y", "http://e/1"), get("z", "http://e/2")];
    expect(marks(compiled(nodes, []).ir, "same_as")).toEqual([]);
    expect(marks(compiled(nodes, [], { coalesce: true }).ir, "same_as")).toEqual(["y"]);
    const reading = ["x", "y"].map((id) => get(id, "http://e/${data.id}"));
    const fed = [fn("a"), fn("b"), ...reading];
    const apart: [string, string][] = [
      ["a", "x"],
      ["b", "y"],
    ];
    expect(marks(compiled(fed, apart, { coalesce: true }).ir, "same_as")).toEqual([]);
    const together: [string, string][] = [
      ["a", "x"],
      ["a", "y"],
      ["a", "b"],
    ];
    expect(marks(compiled(fed, together, { coalesce: true }).ir, "same_as")).toEqual(["y"]);
  });

  it("is off without optimisation, and makes the same IR each time with it", () => {
    const nodes = [fn("a"), { id: "p", type: "noop" }, fn("b")];
    const edges: [string, string][] = [
      ["a", "p"],
      ["p", "b"],
    ];
    const { ir, notes } = compiled(nodes, edges, { optimise: false });
    expect(notes).toEqual([]);
    expect(ir.nodes.some(({ fusible, chain }) => fusible || chain !== undefined)).toBe(false);
    expect(compiled(nodes, edges)).toEqual(compiled(nodes, edges));
  });
});
