import { describe, expect, it } from "vitest";
import { compile } from "../index.ts";
import type { Ir, Json } from "../index.ts";
import { damage } from "./damage.fixture.ts";
import { executeAll } from "./exhaustive.fixture.ts";
import { analyseWorkflow, findCriticalPath, prove, walkPaths } from "./index.ts";
import { findDefects } from "./verify.ts";
import { randomGraph } from "./random-graph.fixture.ts";
import { adjacencyOf, edgesOf } from "./structure.ts";

type JsonObject = { [key: string]: Json };

function irOf(nodes: (string | JsonObject)[], edges: (string | JsonObject)[]): Ir {
  const { ir, diagnostics } = compile({
    document: {
      name: "w",
      nodes: nodes.map((node) => (typeof node === "string" ? { id: node, type: "noop" } : node)),
      edges: edges.map((edge) => {
        if (typeof edge !== "string") return edge;
        const [from = "", to = ""] = edge.split(">");
        return { from, to };
      }),
    },
  });
  if (!ir) throw new Error(JSON.stringify(diagnostics));
  return ir;
}

const GRAPHS = Number(process.env["GAVOTTE_GRAPHS"] ?? 300);
const graphs = function* (): Generator<[number, Ir]> {
  for (let seed = 1; seed <= GRAPHS; seed++) {
    const ir = randomGraph(seed, { nodesMax: 6, loops: seed % 2 === 0 });
    if (ir) yield [seed, ir];
  }
};

describe("the proofs", () => {
  it("hold for everything that the compiler makes, and its adjacency gives its edges back", () => {
    for (const [seed, ir] of graphs()) {
      expect(findDefects(ir), `seed ${seed}`).toEqual([]);
      expect(edgesOf(adjacencyOf(ir))).toEqual(ir.edges);
    }
  });

  it("are refuted for every damaged graph whose execution breaks", () => {
    let broken = 0;
    for (const [seed, ir] of graphs()) {
      const damaged = damage(ir, seed);
      const { errors } = executeAll(damaged, { executionsMax: 200, orders: false });
      if (errors.size === 0) continue;
      broken++;
      const verdicts = prove(damaged).map(({ verdict }) => verdict);
      expect(verdicts, `seed ${seed}`).toContain("refuted");
    }
    expect(broken).toBeGreaterThan(GRAPHS / 20);
  });

  it("show the way to the place where it breaks", () => {
    const ir = irOf(["a", "b", "c"], ["a>b", "b>c"]);
    ir.nodes[1]?.out.pop();
    const joins = prove(ir).find(({ claim }) => claim === "joins_decided");
    expect(joins).toMatchObject({ verdict: "refuted" });
    expect(joins?.reasons[0]).toContain("the edge b > c never gets a value");
  });

  it("count executions with rounds and attempts", () => {
    const loop = { condition: "output.a", max_iterations: 3, loop_back_to: "a" };
    const work = { type: "function", config: { function_name: "f" } };
    const nodes = [
      { id: "a", ...work, retry: { max_attempts: 2 } },
      { id: "b", ...work, loop },
    ];
    const ir = irOf(nodes, ["a>b"]);
    expect(prove(ir).at(-1)?.reasons).toEqual(["at most 9 executions of nodes"]);
  });
});

describe("the analysis of a workflow", () => {
  it("does not hang on sixty diamonds in a row", () => {
    const edges = Array.from({ length: 60 }, (_, i) => [
      ...[`s${i}>a${i}`, `s${i}>b${i}`, `a${i}>s${i + 1}`, `b${i}>s${i + 1}`],
    ]).flat();
    const nodes = [...new Set(edges.flatMap((edge) => edge.split(">")))];
    const [graph] = analyseWorkflow(irOf(nodes, edges), { pathsMax: 5 }).graphs;
    expect(graph?.paths).toMatchObject({ count: (2n ** 60n).toString(), is_complete: false });
    expect(graph?.paths.paths).toHaveLength(5);
    expect(graph?.is_exact).toBe(true);
    expect(graph?.parallel.groups).toHaveLength(60);
  });

  it("walks exactly the paths that it counts", () => {
    for (const [, ir] of graphs()) {
      const walked = [...walkPaths(ir)].map((path) => JSON.stringify(path));
      expect(String(new Set(walked).size)).toBe(ir.analysis.path_count);
      expect(walked).toHaveLength(new Set(walked).size);
    }
  });

  it("stays bounded where choices multiply, and says so", () => {
    const ids = Array.from({ length: 40 }, (_, i) => `n${i}`);
    const nodes: JsonObject[] = ids.map((id) => ({ id, type: "conditional" }));
    const edges: JsonObject[] = [];
    ids.forEach((from, i) => {
      for (const to of ids.slice(i + 1, i + 9)) {
        edges.push({ from, to, condition: `output.${to} == 1` });
      }
    });
    const [graph] = analyseWorkflow(irOf(nodes, edges)).graphs;
    expect(graph?.is_exact).toBe(false);
    expect(graph?.findings).toEqual([]);
  });

  it("finds the join of alternatives that waits for both, with an example", () => {
    const nodes = [
      { id: "pick", type: "conditional" },
      ...["a", "b"].map((id) => ({ id, type: "noop" })),
      { id: "both", type: "noop", join: { count: 2 } },
    ];
    const ir = irOf(nodes, [
      { from: "pick", to: "a", condition: "output.n > 1" },
      ...["pick>b", "a>both", "b>both"],
    ]);
    const [finding] = analyseWorkflow(ir).graphs[0]?.findings ?? [];
    expect(finding).toMatchObject({ kind: "join_never_fires", node: "both" });
    expect(finding?.reason).toContain("at most 1 can be live");
    expect(finding?.example?.map(({ node }) => node)).toContain("pick");
  });

  it("tells gaps and overlaps of conditions with values", () => {
    const ir = irOf(
      [{ id: "pick", type: "conditional" }, "a", "b"],
      [
        { from: "pick", to: "a", condition: "output.score > 80" },
        { from: "pick", to: "b", condition: "output.score < 80" },
      ],
    );
    const [gap] = analyseWorkflow(ir).graphs[0]?.conditions ?? [];
    expect(gap).toMatchObject({ kind: "gap", text: "none holds for output.score = 80" });
  });

  it("looks into the bodies of maps", () => {
    const map = {
      id: "m",
      type: "map",
      config: { items: "input.list", do: { id: "x", type: "noop" } },
    };
    const { graphs: parts } = analyseWorkflow(irOf([map], []));
    expect(parts.map(({ maps, entries }) => [maps, entries])).toEqual([
      [[], ["m"]],
      [["m"], ["x"]],
    ]);
  });
});

describe("the critical path", () => {
  const work = { type: "function", config: { function_name: "f" } };

  it("follows given durations, and tells how much room the others have", () => {
    const ir = irOf(["s", "a", "b", "e"], ["s>a", "s>b", "a>e", "b>e"]);
    const found = findCriticalPath(ir, { a: 10, b: 30 });
    expect(found).toMatchObject({ unit: "ms", length: 30, nodes: ["s", "b", "e"] });
    expect(found.timing["a"]).toEqual({ takes: 10, ends: 10, slack: 20 });
  });

  it("counts nodes where no time is known, and rounds where it is", () => {
    const loop = { condition: "output.a", max_iterations: 3, loop_back_to: "a" };
    const ir = irOf(
      [
        { id: "a", ...work },
        { id: "b", ...work, loop },
      ],
      ["a>b"],
    );
    expect(findCriticalPath(ir)).toMatchObject({ unit: "steps", length: 2 });
    expect(findCriticalPath(ir, { a: 5, b: 1 })).toMatchObject({ unit: "ms", length: 18 });
    expect(findCriticalPath(ir, { a: 5, b: { ms: 1, rounds: 2 } }).length).toBe(12);
  });
});
