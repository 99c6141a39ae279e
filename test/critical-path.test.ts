/**
 * Steps in the order of what a run's end waits for (`settings.order: critical_path`), measured on
 * the shapes of published workflows in simulated time: never later than first come, first served.
 * What comes out is kept in docs/evidence/critical-path.md; UPDATE_GOLDEN=1 writes it.
 */
import { readFile, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { compile, type Ir } from "../compiler/index.ts";
import { mocksOf } from "../cmd/simulation/mocks.ts";
import { whatIf } from "../cmd/simulation/what-if.ts";
import { scientificGraphs, type ScientificGraph } from "./generate/scientific.ts";

const EVIDENCE = new URL("../docs/evidence/critical-path.md", import.meta.url);
const WIDTHS = [24, 60, 120];
const WORKERS = [2, 4, 8, 16, 32];

function compiled(graph: ScientificGraph, settings: object, isExpected: boolean): Ir {
  const nodes = graph.tasks.map(({ id, ms }) => ({
    ...{ id, type: "function", config: { function_name: id.replace(/[_0-9]+$/, "") } },
    ...(isExpected ? { expected_ms: ms } : {}),
  }));
  const document = { name: graph.name, nodes, edges: graph.edges, settings };
  const { ir, diagnostics } = compile({ document: document as never });
  if (ir === null) throw new Error(JSON.stringify(diagnostics[0]));
  return ir;
}

/** Simulated ms from the begin to the end of a run with so many workers. */
function makespan(graph: ScientificGraph, ir: Ir, workers: number): number {
  const nodes = graph.tasks.map(({ id, ms }) => [id, { output: 0, duration: ms }]);
  const mocks = mocksOf({ nodes: Object.fromEntries(nodes) as never });
  const capacity = { workers: new Map([["default", workers]]) };
  const report = whatIf(...([ir, {}, { mocks, seed: 1, capacity }] as const), {
    runs: 1,
    everyMs: 0,
    isRandom: false,
  });
  expect(report.statuses).toEqual({ COMPLETED: 1 });
  return report.makespan_ms;
}

/** One row: the makespans of a shape by workers and order. */
function measure(graph: ScientificGraph, workers: number) {
  const asReady = compiled(graph, {}, true);
  const critical = { order: "critical_path" };
  return {
    graph,
    workers,
    // Nobody behind: first come, first served.
    fifo: makespan(graph, { ...asReady, behind: asReady.queues.length }, workers),
    asReady: makespan(graph, asReady, workers),
    timed: makespan(graph, compiled(graph, critical, true), workers),
    counted: makespan(graph, compiled(graph, critical, false), workers),
  };
}

const ROWS = WIDTHS.flatMap((width) => scientificGraphs(width)).flatMap((graph) =>
  WORKERS.map((workers) => measure(graph, workers)),
);
const NAMES = new Set(ROWS.map(({ graph }) => graph.name));

describe("W04: settings.order: critical_path", () => {
  it.each([...NAMES])("ends %s no later than first come, first served", (name) => {
    for (const { graph, workers, fifo, timed, counted } of ROWS) {
      if (graph.name !== name) continue;
      const at = `${graph.tasks.length} steps, ${workers} workers`;
      expect(timed, at).toBeLessThanOrEqual(fifo);
      expect(counted, `${at}, without times`).toBeLessThanOrEqual(fifo);
    }
  });

  it("ends some a fifth earlier than the order of readiness does, none 2 % later", () => {
    const gains = ROWS.map(({ asReady, timed }) => 1 - timed / asReady);
    expect(Math.max(...gains)).toBeGreaterThan(0.2);
    expect(Math.min(...gains)).toBeGreaterThan(-0.02);
    // It is not merely first come, first served by another name.
    expect(ROWS.some(({ fifo, timed }) => timed < fifo)).toBe(true);
  });

  it("is what docs/evidence/critical-path.md says", async () => {
    const seconds = (ms: number): string => (ms / 1000).toFixed(1);
    const rows = ROWS.map(({ graph, workers, fifo, asReady, timed, counted }) => {
      const cells = [
        graph.name,
        graph.tasks.length,
        workers,
        ...[fifo, asReady, timed, counted].map(seconds),
      ];
      return `| ${cells.join(" | ")} |`;
    });
    const text = [
      "# Steps in the order of the critical path",
      "",
      "Makespans of one run in simulated seconds, on the shapes of published workflows, with task times of the",
      "size measured there (`test/generate/scientific.ts`). *FIFO*: first come, first served. *as ready*: the engine without",
      "`settings.order`, steps of runs on their way before first steps. *critical path*: with `expected_ms` of every",
      "node, and *in steps* without. Written by `UPDATE_GOLDEN=1 npx vitest run test/critical-path.test.ts`, held",
      "to the code by the same test.",
      "",
      "| workflow | steps | workers | FIFO | as ready | critical path | in steps |",
      "| --- | --- | --- | --- | --- | --- | --- |",
      ...rows,
      "",
    ].join("\n");
    if (process.env["UPDATE_GOLDEN"] === "1") await writeFile(EVIDENCE, text);
    expect(await readFile(EVIDENCE, "utf8")).toBe(text);
  });
});
