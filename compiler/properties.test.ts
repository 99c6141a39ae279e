/**
 * Random small workflows against definitions taken literally: paths are enumerated, joins played
 * out. What the compiler proves cleverly must be what these say slowly.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Certainty } from "./certainty.ts";
import { Reporter } from "./diagnostics.ts";
import { buildDominators } from "./dominators.ts";
import { expandDocument } from "./expand.ts";
import { orderGraph } from "./graph.ts";
import type { Graph } from "./graph.ts";
import { compile } from "./index.ts";
import type { Ir } from "./index.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { readDocument } from "./read-document.ts";
import { NO_SOURCE } from "./source-map.ts";

type Entry = Record<string, unknown>;

interface Sketch {
  count: number;
  pairs: [number, number][];
}

/** A graph without cycles: edges lead from smaller to larger numbers. */
const sketches = fc.integer({ min: 1, max: 8 }).chain((count) => {
  const all = Array.from({ length: count * count }, (_, i): [number, number] => [
    Math.floor(i / count),
    i % count,
  ]).filter(([a, b]) => a < b);
  return fc.record({
    count: fc.constant(count),
    pairs: fc.shuffledSubarray(all, { maxLength: Math.min(all.length, 14) }),
  });
});

const name = (index: number): string => `n${index}`;

/** All paths from nodes without in-edges to `end`. */
function pathsTo({ count, pairs }: Sketch, end: number): number[][] {
  const before = pairs.filter(([, to]) => to === end).map(([from]) => from);
  if (before.length === 0) return [[end]];
  return before.flatMap((from) => pathsTo({ count, pairs }, from).map((path) => [...path, end]));
}

/** Whether row leads to column; a node leads to itself. */
function reachability({ count, pairs }: Sketch): boolean[][] {
  const rows = Array.from({ length: count }, (_, a) =>
    Array.from({ length: count }, (__, b) => a === b),
  );
  // Edges lead upwards, so the rows of larger numbers are complete.
  for (let a = count - 1; a >= 0; a--) {
    for (const [from, to] of pairs) {
      if (from !== a) continue;
      rows[a] = (rows[a] ?? []).map((known, b) => known || rows[to]?.[b] === true);
    }
  }
  return rows;
}

function documentOf({ count, pairs }: Sketch, more: (index: number) => Entry = () => ({})): Entry {
  const nodes = Array.from({ length: count }, (_, i) => ({
    id: name(i),
    type: "function",
    config: { function_name: "f" },
    ...more(i),
  }));
  return { name: "w", nodes, edges: pairs.map(([a, b]) => ({ from: name(a), to: name(b) })) };
}

const idsOf = (ir: Ir, indexes: readonly number[]): string[] =>
  indexes.map((index) => ir.nodes[index]?.id ?? "").sort();

describe("a random graph", () => {
  it("has the entries, terminals, paths and depth that counting gives", () => {
    fc.assert(
      fc.property(sketches, (sketch) => {
        const { ir } = compile({ document: documentOf(sketch) });
        if (!ir) throw new Error("not compiled");
        const all = Array.from({ length: sketch.count }, (_, i) => i);
        const entries = all.filter((i) => !sketch.pairs.some(([, to]) => to === i));
        const terminals = all.filter((i) => !sketch.pairs.some(([from]) => from === i));
        const paths = terminals.flatMap((end) => pathsTo(sketch, end));
        expect(idsOf(ir, ir.analysis.roots)).toEqual(entries.map(name));
        expect(idsOf(ir, ir.analysis.leaves)).toEqual(terminals.map(name));
        expect(ir.analysis.path_count).toBe(String(paths.length));
        const longest = Math.max(...paths.map((path) => path.length));
        expect(ir.analysis.critical_path).toHaveLength(longest);
        expect(ir.analysis.levels).toHaveLength(longest);
        for (const { from, to } of ir.edges) expect(from).toBeLessThan(to);
      }),
    );
  });

  it("bounds its tokens by no less than its largest set of edges without order", () => {
    fc.assert(
      fc.property(sketches, (sketch) => {
        const { ir } = compile({ document: documentOf(sketch) });
        const leads = reachability(sketch);
        const isFree = ([a, b]: [number, number], [c, d]: [number, number]): boolean =>
          !leads[b]?.[c] && !leads[d]?.[a];
        // The largest set that extends `chosen` by pairs from `rest`.
        const largestFrom = (chosen: number, rest: [number, number][]): number => {
          const [first, ...others] = rest;
          if (!first) return chosen;
          const compatible = others.filter((pair) => isFree(first, pair));
          return Math.max(largestFrom(chosen + 1, compatible), largestFrom(chosen, others));
        };
        const largest = largestFrom(0, sketch.pairs);
        expect(ir?.analysis.tokens_max).toBeGreaterThanOrEqual(largest);
      }),
      { numRuns: 30 },
    );
  });

  it("has the dominators that its paths have", () => {
    fc.assert(
      fc.property(sketches, (sketch) => {
        const tree = buildDominators(sketch.count, (node) =>
          sketch.pairs.filter(([, to]) => to === node - 1).map(([from]) => from + 1),
        );
        for (let b = 0; b < sketch.count; b++) {
          const paths = pathsTo(sketch, b);
          for (let a = 0; a < sketch.count; a++) {
            const expected = paths.every((path) => path.includes(a));
            expect(tree.dominates(a + 1, b + 1)).toBe(expected);
          }
        }
      }),
    );
  });
});

describe("a random loop", () => {
  const looped = sketches.chain((sketch) =>
    fc.record({
      sketch: fc.constant(sketch),
      head: fc.nat(sketch.count - 1),
      latch: fc.nat(sketch.count - 1),
    }),
  );

  it("is accepted exactly if the definition says so, with the body that it says", () => {
    fc.assert(
      fc.property(looped, ({ sketch, head, latch }) => {
        const loop = { condition: "output.a", max_iterations: 3, loop_back_to: name(head) };
        const document = documentOf(sketch, (i) => (i === latch ? { loop } : {}));
        const { ir, diagnostics } = compile({ document });
        const all = Array.from({ length: sketch.count }, (_, i) => i);
        const leads = reachability(sketch);
        const isDominated = (i: number): boolean =>
          pathsTo(sketch, i).every((path) => path.includes(head));
        const body = all.filter((i) => isDominated(i) && leads[i]?.[latch]);
        const isInside = (i: number): boolean => body.includes(i);
        const isLoop =
          isInside(latch) &&
          isInside(head) &&
          sketch.pairs.every(([from, to]) => {
            const entersWell = !isInside(to) || to === head || isInside(from);
            const leavesWell = !isInside(from) || from === latch || isInside(to);
            return entersWell && leavesWell;
          });
        expect(ir !== null).toBe(isLoop);
        if (ir) expect(idsOf(ir, ir.loops[0]?.body ?? [])).toEqual(body.map(name));
        else expect(diagnostics.some((d) => /GV201[123]/.test(d.code))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

interface Played {
  ran: boolean[];
  /** Nodes that have surely run when this one is decided. */
  before: Set<number>[];
}

/** Play a graph through once; `toss` decides conditions, branches and races. */
function play(graph: Graph, toss: (choices: number) => number): Played {
  const ran: boolean[] = [];
  const before: Set<number>[] = [];
  const live: boolean[] = [];
  graph.nodes.forEach((node, index) => {
    const incoming = graph.in[index] ?? [];
    const alive = incoming.filter((edge) => live[edge]);
    ran[index] = incoming.length === 0 || alive.length > 0;
    const isRace = node.source?.join.kind === "any" && alive.length > 0;
    const decisive = isRace ? [alive[toss(alive.length)] ?? 0] : incoming;
    const known = new Set<number>();
    for (const edge of decisive) {
      const from = graph.edges[edge]?.from ?? 0;
      for (const earlier of before[from] ?? []) known.add(earlier);
      if (ran[from]) known.add(from);
    }
    before[index] = known;
    const out = graph.out[index] ?? [];
    const chosen = node.source?.routing === "first" ? out[toss(out.length)] : undefined;
    for (const edge of out) {
      const isTaken = !graph.edges[edge]?.condition || toss(2) === 1;
      live[edge] = ran[index] === true && (chosen === undefined ? isTaken : edge === chosen);
    }
  });
  return { ran, before };
}

describe("a reference that is said to be always there", () => {
  const cases = fc.record({
    sketch: sketches,
    kinds: fc.array(fc.constantFrom("plain", "any", "switch"), { minLength: 8, maxLength: 8 }),
    conditional: fc.array(fc.boolean(), { minLength: 14, maxLength: 14 }),
    tosses: fc.array(fc.nat(1000), { minLength: 200, maxLength: 200 }),
  });

  it("has run whenever its reader runs, whatever conditions and races decide", () => {
    fc.assert(
      fc.property(cases, ({ sketch, kinds, conditional, tosses }) => {
        const document = documentOf(sketch, (i) => {
          if (kinds[i] === "any") return { join: "any" };
          return kinds[i] === "switch" ? { type: "conditional", config: {} } : {};
        });
        const list = document["edges"] as Entry[];
        list.forEach((edge, i) => {
          if (conditional[i]) edge["condition"] = `output.c${i}`;
        });
        const reporter = new Reporter(NO_SOURCE);
        const read = readDocument(JSON.parse(JSON.stringify(document)), DEFAULT_LIMITS, reporter);
        const graph = read && orderGraph(expandDocument(read, reporter));
        if (!graph) throw new Error("no graph");
        const certainty = new Certainty(graph);
        let at = 0;
        const toss = (choices: number): number => (tosses[at++ % tosses.length] ?? 0) % choices;
        for (let round = 0; round < 10; round++) {
          const { ran, before } = play(graph, toss);
          for (let n = 0; n < sketch.count; n++) {
            for (let r = 0; r < n; r++) {
              if (ran[n] && certainty.isCertain(r, n)) expect(before[n]?.has(r)).toBe(true);
              if (before[n]?.has(r)) expect(certainty.isUpstream(r, n)).toBe(true);
            }
            if (certainty.isCertainAtEnd(n)) expect(ran[n]).toBe(true);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
