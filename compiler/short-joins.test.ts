import { describe, expect, it } from "vitest";
import { explore } from "./analysis/explore.ts";
import { randomDocument } from "./analysis/random-graph.fixture.ts";
import { compile } from "./index.ts";
import type { Diagnostic } from "./index.ts";

/** What is said of joins that come up short; edges are `a>b`, `a>b error`, or `a>b ?` with a condition. */
function said(edges: string[], more: { [id: string]: object }): Diagnostic[] {
  const drawn = edges.map((text) => {
    const [, from = "", to = "", label] = /^(\w+)>(\w+)(?: (\S+))?$/.exec(text) ?? [];
    if (label === undefined) return { from, to };
    return label === "?" ? { from, to, condition: `output.${to}` } : { from, to, on: label };
  });
  const ids = [...new Set(drawn.flatMap(({ from, to }) => [from, to]))];
  const work = { type: "function", config: { function_name: "f" } };
  const nodes = ids.map((id) => ({ id, ...work, ...more[id] }));
  const { diagnostics } = compile({ document: { name: "w", nodes, edges: drawn } });
  return diagnostics.filter(({ code }) => code === "GV2028");
}

const pick = { type: "conditional", config: {} };
const two = { join: { count: 2 } };
const WAYS = ["c>a ?", "c>b", "a>j", "b>j"];

describe("a join with a count", () => {
  it("that waits for two ways of which one is taken is told, with who decides", () => {
    const [found, ...others] = said([...WAYS, "j>z"], { c: pick, j: two });
    expect(others).toEqual([]);
    expect(found?.severity).toBe("warning");
    expect(found?.message).toBe(
      "`j` waits for 2 arrivals, and at most one of its 2 in-edges can be taken in one run: it is " +
        "always skipped, with what follows it",
    );
    expect(found?.pointer).toMatch(/^\/nodes\/\d\/join\/count$/);
    expect(found?.hint).toContain("any");
    expect(found?.related?.[0]?.message).toBe("decides between them");
  });

  it("is told of however far behind the choice it stands", () => {
    expect(said(["c>a ?", "c>b", "a>x", "b>y", "x>j", "y>j"], { c: pick, j: two })).toHaveLength(1);
    const three = { join: { count: 3 } };
    expect(said([...WAYS, "s>j"], { c: pick, j: three })).toHaveLength(1);
    expect(said([...WAYS, "s>j"], { c: pick, j: two })).toEqual([]);
  });

  it("may have both where both can be taken", () => {
    expect(said(WAYS, { j: two })).toEqual([]);
    expect(said(WAYS, { c: { ...pick, config: { mode: "all" } }, j: two })).toEqual([]);
    // What both ways lead to stands on neither.
    expect(said(["c>a ?", "c>b", "a>m", "b>m", "m>x", "m>j", "x>j"], { c: pick, j: two })).toEqual(
      [],
    );
    expect(said(["c>a ?", "c>b", "a>x", "a>y", "x>j", "y>j"], { c: pick, j: two })).toEqual([]);
  });

  it("does not have the success and the failure of one node", () => {
    expect(said(["a>x", "a>y error", "x>j", "y>j"], { j: two })).toHaveLength(1);
    expect(said(["a>x", "a>y always", "x>j", "y>j"], { j: two })).toEqual([]);
    expect(said(["a>x error", "a>y timeout", "x>j", "y>j"], { j: two })).toEqual([]);
  });

  it("never runs if it is told of, whatever happens", () => {
    let count = 0;
    for (let seed = 1; seed <= 1500; seed++) {
      const loops = seed % 2 === 0;
      const document = randomDocument(seed, { nodesMax: 8, loops });
      const { ir, diagnostics } = compile({ document });
      const told = diagnostics.filter(({ code }) => code === "GV2028");
      if (!ir || told.length === 0) continue;
      const { nodes } = explore(ir);
      for (const { message } of told) {
        count++;
        const id = /^`(\w+)`/.exec(message)?.[1];
        expect([seed, nodes[ir.nodes.findIndex((node) => node.id === id)]?.runs]).toEqual([
          seed,
          null,
        ]);
      }
    }
    expect(count).toBeGreaterThan(10);
  });
});
