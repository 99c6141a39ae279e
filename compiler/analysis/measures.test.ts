/** Figures of the analysis beside counting: tokens in flight, longest path, meetings, payloads. */
import { describe, expect, it } from "vitest";
import type { Ir, Json } from "../ir.ts";
import { executeAll } from "./exhaustive.fixture.ts";
import { findCriticalPath, walkPaths } from "./index.ts";
import { bytesOf } from "./payload.ts";
import { randomGraph } from "./random-graph.fixture.ts";

const GRAPHS = Number(process.env["GAVOTTE_GRAPHS"] ?? 300);

/** Random graphs without loops. */
function* graphs(): Generator<[number, Ir]> {
  for (let seed = 1; seed <= GRAPHS; seed++) {
    const ir = randomGraph(seed, { nodesMax: 6 });
    if (ir) yield [seed, ir];
  }
}

describe("the largest number of tokens in flight", () => {
  it("is never exceeded in any execution, and is reached in most graphs", () => {
    let reached = 0;
    let compared = 0;
    for (const [seed, ir] of graphs()) {
      const seen = executeAll(ir, { executionsMax: 1_000, orders: true });
      expect(seen.tokensMax, `seed ${seed}`).toBeLessThanOrEqual(ir.analysis.tokens_max);
      if (!seen.isComplete) continue;
      compared++;
      if (seen.tokensMax === ir.analysis.tokens_max) reached++;
    }
    expect(reached).toBeGreaterThan(compared / 2);
  });
});

describe("the critical path", () => {
  it("is the longest of all paths, for random durations", () => {
    for (const [seed, ir] of graphs()) {
      const durations = Object.fromEntries(
        ir.nodes.map(({ id }, i) => [id, ((seed * 7919 + i * 104_729) % 50) + 1]),
      );
      const lengths = [...walkPaths(ir)].map(({ nodes }) =>
        nodes.reduce((sum, index) => sum + (durations[ir.nodes[index]?.id ?? ""] ?? 0), 0),
      );
      const found = findCriticalPath(ir, durations);
      expect(found.length, `seed ${seed}`).toBe(Math.max(...lengths));
      const sum = found.nodes.reduce((all, id) => all + (durations[id] ?? 0), 0);
      expect(sum).toBe(found.length);
      // A node can be later by its slack and no more: those on the path have none.
      for (const id of found.nodes) expect(found.timing[id]?.slack).toBe(0);
    }
  });
});

describe("a convergence point", () => {
  it("is every node at which two tokens of one execution meet", () => {
    for (const [seed, ir] of graphs()) {
      const { meets } = executeAll(ir, { executionsMax: 1_000, orders: false });
      const found = ir.analysis.convergence_points.map((index) => ir.nodes[index]?.id);
      for (const id of meets) expect(found, `seed ${seed}`).toContain(id);
    }
  });
});

describe("the largest payload", () => {
  const text = (value: Json): number => Buffer.byteLength(JSON.stringify(value));
  const control = String.fromCharCode(1).repeat(4);

  /** Schemas with the longest values that they allow. */
  const LONGEST: readonly (readonly [Json, Json])[] = [
    [{ const: { a: [1, "x"] } }, { a: [1, "x"] }],
    [{ enum: ["a", "abc", null] }, "abc"],
    [{ type: "null" }, null],
    [{ type: "boolean" }, false],
    [{ type: "string", maxLength: 4 }, control],
    [{ type: ["null", "string"], maxLength: 4 }, control],
    [
      { type: "object", properties: { é: { type: "boolean" } }, additionalProperties: false },
      { é: false },
    ],
  ];

  it.each(LONGEST)("of %j is that of its longest value", (schema, value) => {
    expect(bytesOf(schema)).toBeGreaterThanOrEqual(text(value));
    expect(bytesOf(schema)).toBeLessThanOrEqual(text(value) + 2);
  });

  it("of a number is that of the longest there is", () => {
    const numbers = [-1.7976931348623157e308, 5e-324, 0.1 + 0.2, -1 / 3, 2 ** 53, 1e21];
    for (const number of numbers)
      expect(text(number)).toBeLessThanOrEqual(bytesOf({ type: "number" }));
  });

  it("is not known where a schema leaves a string, a list or a field open", () => {
    const open: Json[] = [
      true,
      { type: "string" },
      { type: "array", items: { type: "null" } },
      { type: "object", properties: {} },
      { type: "array", maxItems: 2 },
    ];
    for (const schema of open) expect(bytesOf(schema)).toBe(Infinity);
  });
});
