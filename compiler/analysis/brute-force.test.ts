/**
 * The analyses against execution in every possible way, on small random graphs. The seeds are 1 to
 * GAVOTTE_GRAPHS; GAVOTTE_GRAPH looks at one.
 */
import { describe, expect, it } from "vitest";
import type { Ir } from "../ir.ts";
import { executeAll } from "./exhaustive.fixture.ts";
import { explore } from "./explore.ts";
import { findParallel, orderOf } from "./parallel.ts";
import { randomGraph } from "./random-graph.fixture.ts";

const GRAPHS = Number(process.env["GAVOTTE_GRAPHS"] ?? 300);
const ONLY = process.env["GAVOTTE_GRAPH"];
const EXECUTIONS_MAX = 3_000;

const seeds = (from: number): number[] =>
  ONLY === undefined ? Array.from({ length: GRAPHS }, (_, i) => from + i) : [Number(ONLY)];

function forEachGraph(loops: boolean, check: (ir: Ir, seed: number) => void): void {
  let compared = 0;
  for (const seed of seeds(1)) {
    const ir = randomGraph(seed, { nodesMax: loops ? 5 : 6, loops });
    if (!ir) continue;
    compared++;
    try {
      check(ir, seed);
    } catch (error) {
      throw new Error(`GAVOTTE_GRAPH=${seed} fails`, { cause: error });
    }
  }
  expect(compared).toBeGreaterThan(ONLY === undefined ? GRAPHS / 4 : 0);
}

const sorted = (set: Iterable<string>): string[] => [...set].toSorted();

function idsWhere(ir: Ir, holds: (index: number) => boolean): string[] {
  return sorted(ir.nodes.flatMap(({ id }, index) => (holds(index) ? [id] : [])));
}

function compare(ir: Ir): void {
  let seen = executeAll(ir, { executionsMax: EXECUTIONS_MAX, orders: true });
  const found = explore(ir);
  const unharmed = explore(ir, { failures: false });
  expect([...seen.errors]).toEqual([]);
  expect(found.isExact).toBe(true);
  const runs = idsWhere(ir, (i) => found.nodes[i]?.runs !== null);
  const skipped = idsWhere(ir, (i) => {
    const facts = found.nodes[i];
    return facts !== undefined && (facts.skipped !== null || facts.failed !== null);
  });
  const live = sorted(
    ir.nodes.flatMap((node) =>
      node.out.flatMap((edge, place) => (found.edges[edge]?.live ? [`${node.id}>${place}`] : [])),
    ),
  );
  const clean = idsWhere(ir, (i) => unharmed.nodes[i]?.runs !== null);
  if (!seen.isComplete) {
    const once = executeAll(ir, { executionsMax: 10 * EXECUTIONS_MAX, orders: false });
    // Too many orders: what was seen must be among what is possible, and one order shows nearly all.
    for (const id of seen.runs) expect(runs).toContain(id);
    for (const id of seen.skipped) expect(skipped).toContain(id);
    for (const edge of seen.live) expect(live).toContain(edge);
    for (const id of seen.runsUnharmed)
      if (!clean.includes(id)) expect([...seen.runs]).toContain(id);
    seen = once;
    if (!once.isComplete) return;
    expect(sorted(seen.runs)).toEqual(runs);
    return;
  }
  const observed = [seen.runs, seen.skipped, seen.live, seen.runsUnharmed].map(sorted);
  expect(observed).toEqual([runs, skipped, live, clean]);
}

function compareParallel(ir: Ir): void {
  const seen = executeAll(ir, { executionsMax: EXECUTIONS_MAX, orders: true });
  if (!seen.isComplete) return;
  const isOrdered = orderOf(ir);
  const { groups, ...rest } = findParallel(ir, explore(ir), 1_000);
  expect(rest).toEqual({ is_complete: true, is_exact: true });
  ir.nodes.forEach((a, i) => {
    ir.nodes.slice(i + 1).forEach((b, k) => {
      const j = i + 1 + k;
      const ids = sorted([a.id, b.id]).join(" ");
      const isParallel = !isOrdered(i, j) && seen.together.has(ids);
      expect(groups.some((group) => group.includes(i) && group.includes(j))).toBe(isParallel);
    });
  });
}

describe("two nodes share a parallel group", () => {
  it(
    "if and only if no path orders them and they run in one execution",
    () => forEachGraph(false, compareParallel),
    10 * 60_000,
  );
});

describe("what a graph can do", () => {
  it("is what executing it in every way shows", () => forEachGraph(false, compare), 10 * 60_000);

  it(
    "is what executing it in every way shows, loops included",
    () => forEachGraph(true, compare),
    10 * 60_000,
  );
});
