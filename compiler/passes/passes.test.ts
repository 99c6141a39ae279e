/**
 * The passes against the reference interpreter: what can be observed of a run is the same with them
 * and without. Seeds from 1; GAVOTTE_CASES says how many.
 */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { oracleHandlers } from "../../test/generate/builtins.ts";
import { generateWorkflow, type GenerateOptions } from "../../test/generate/workflow.ts";
import { randomGraph } from "../analysis/random-graph.fixture.ts";
import { executeAll } from "../analysis/exhaustive.fixture.ts";
import { compile } from "../index.ts";
import type { Ir, Json, PassNote } from "../index.ts";
import { compileTemplate } from "../../condition/index.ts";
import { interpret, seededOrder } from "../reference/index.ts";
import type { HandlerTable } from "../reference/index.ts";
import { optimise, PASSES } from "./index.ts";
import type { Pass } from "./pass.ts";

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

/** The graph and the bodies of its maps, each with the one pass. */
function applied(ir: Ir, pass: Pass): Ir {
  const changed = structuredClone(ir);
  const visit = (graph: Ir): void => {
    for (const { body } of graph.nodes) if (body) visit(body);
    pass.run(graph, () => {});
  };
  visit(changed);
  return changed;
}

describe.each(PASSES.map((pass) => [pass.name, pass] as const))(
  "the pass %s by itself",
  (_, pass) => {
    it("changes nothing that can be observed of random runs with random handlers", () => {
      for (let seed = 1; seed <= CASES; seed++) {
        const options = Object.values(KINDS)[seed % 3] ?? CALM;
        const { ir } = compile({ document: generateWorkflow(seed, options) }, { optimise: false });
        if (!ir) throw new Error(`seed ${seed} is not valid`);
        const [plain, changed] = [ir, applied(ir, pass)].map((one) =>
          interpret(one, INPUT, { handlers: randomHandlers(seed), maxSteps: 5_000 }),
        );
        expect(changed, `seed ${seed}`).toEqual(plain);
      }
    });

    it("changes nothing in any execution of small graphs", () => {
      for (let seed = 1; seed <= CASES; seed++) {
        const ir = randomGraph(seed, { nodesMax: 5, loops: seed % 2 === 0 });
        if (!ir) continue;
        const limits = { executionsMax: 300, orders: false };
        const [before, after] = [ir, applied(ir, pass)].map((one) => executeAll(one, limits));
        expect(after, `seed ${seed}`).toEqual(before);
      }
    });
  },
);

/** Handlers whose answers are drawn from the seed and the place of the execution. */
function randomHandlers(seed: number): HandlerTable {
  const oracle = oracleHandlers();
  return {
    evaluate(node, context) {
      const place = `${seed} ${node.id} ${context.scope} ${context.home} ${context.attempt}`;
      const drawn = createHash("sha256").update(place).digest();
      const error = { code: "BROKEN", message: "as drawn", retryable: (drawn[1] ?? 0) % 2 === 0 };
      if ((drawn[0] ?? 0) % 8 === 0) return { error };
      const isWork = !node.pure && (drawn[0] ?? 0) % 3 === 0;
      return isWork ? { output: { n: drawn[2] ?? 0, ok: true } } : oracle.evaluate(node, context);
    },
  };
}

describe("nodes marked as equal requests", () => {
  it("make equal requests in every run in which both run", () => {
    let compared = 0;
    for (let seed = 1; seed <= CASES; seed++) {
      const ir = requests(seed);
      const asked = new Map<string, string>();
      interpret(ir, INPUT, {
        handlers: {
          evaluate(node, { vars, data }) {
            if (node.type !== "http") return { output: { n: seed % 3, of: node.id } };
            const request = compileTemplate(node.config).evaluate({ ...vars, data });
            asked.set(node.id, JSON.stringify(request));
            return { output: null };
          },
        },
      });
      for (const { id, same_as: first } of ir.nodes) {
        const other = ir.nodes[first ?? -1]?.id;
        if (other === undefined) continue;
        expect(asked.get(id), `seed ${seed}`).toBe(asked.get(other));
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(CASES / 4);
  });
});

/** Requests behind one or two functions, with addresses that read this or that. */
function requests(seed: number): Ir {
  const order = seededOrder(seed);
  const pick = (count: number): number => order(Array.from({ length: count }) as never, []);
  const urls = [
    "http://e/1",
    "http://e/${data.of}",
    "http://e/${input.n}",
    "http://e/${ctx.a.output.n}",
  ];
  const nodes: JsonObject[] = [fn("a"), fn("b")];
  const edges: [string, string][] = [["a", "b"]];
  for (let i = 0; i < 5; i++) {
    nodes.push(get(`r${i}`, urls[pick(urls.length)] ?? ""));
    edges.push([pick(2) === 0 ? "a" : "b", `r${i}`]);
  }
  return compiled(nodes, edges, { coalesce: true }).ir;
}

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
const marks = (ir: Ir, mark: "ahead" | "chain" | "never" | "same_as"): string[] =>
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

  it("puts behind what the end does not wait for, each in a queue of the same name", () => {
    const nodes = ["a", "long", "b", "side", "c"].map((id) => ({
      ...fn(id, { queue: id === "side" ? "q" : "main" }),
      ...(id === "long" ? { expected_ms: 100 } : { expected_ms: 10 }),
    }));
    const edges = ["a>long", "long>b", "a>side"].map((edge) => {
      const [from = "", to = ""] = edge.split(">");
      return { from, to };
    });
    const ordered = { name: "t", nodes, edges, settings: { order: "critical_path" } };
    const { ir } = compile({ document: ordered as never });
    expect(ir).toMatchObject({ behind: 2, queues: ["main", "q", "main", "q"] });
    const queues = ir?.nodes.map(({ id, queue }) => [id, queue]);
    expect(Object.fromEntries(queues ?? [])).toEqual({ a: 0, long: 0, b: 0, side: 3, c: 2 });
    // Runs begin with what goes first, wherever the file has it.
    expect(ir?.analysis.roots.map((root) => ir.nodes[root]?.id)).toEqual(["a", "c"]);
    const plain = compile({ document: { ...ordered, settings: {} } as never }).ir;
    expect(plain).not.toHaveProperty("behind");
  });

  it("marks nothing that would leave out a queue where the workflow wants all of them", () => {
    const nodes = [fn("a"), { id: "p", type: "noop" }, fn("b", { pure: true })];
    const edges = [
      { from: "a", to: "p" },
      { from: "p", to: "b" },
    ];
    const document = { name: "w", nodes, edges, settings: { fusion: false } };
    const { ir } = compile({ document });
    const marked = ir?.nodes.filter(({ fusible, ahead, chain }) => fusible || ahead || chain);
    expect(marked).toEqual([]);
  });

  it("marks pure functions that may be called in the step before them", () => {
    const pure = { pure: true };
    const held = [
      ...[{ rate_limit: { key: "k", per_second: 1 } }, { circuit_breaker: true }],
      { queue_timeout_ms: 5 },
    ];
    const nodes = [
      ...[fn("a", pure), fn("b", { ...pure, retry: { max_attempts: 3 }, queue: "q" })],
      ...[fn("c"), fn("j", pure)],
      ...held.map((more, i) => fn(`h${i}`, { ...pure, ...more })),
    ];
    const edges: [string, string][] = [
      ["a", "b"],
      ["a", "c"],
      ["b", "j"],
      ["c", "j"],
      ...held.map((_, i): [string, string] => ["c", `h${i}`]),
    ];
    const { ir, notes } = compiled(nodes, edges);
    expect(marks(ir, "ahead")).toEqual(["b"]);
    expect(notes.some(({ text }) => text.includes("in the step of `a`"))).toBe(true);
    expect(marks(compiled(nodes, edges, { optimise: false }).ir, "ahead")).toEqual([]);
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
