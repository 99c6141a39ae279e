/** What one step takes with it: pure nodes behind it, and outputs that are as long as is kept. */
import { describe, expect, it } from "vitest";
import { compile, type Ir, type IrNode } from "../compiler/index.ts";
import { needsOf, Profiles, RunData, type CompletionItem } from "../sdk/internal.ts";
import { WORKER_DEFAULTS } from "./options.ts";
import type { Prepared } from "./prepared.ts";
import { itemOf, Results } from "./results.ts";

const place = { partition: 0, namespace: "", priority: "normal" } as const;
const { outputBytesMax } = WORKER_DEFAULTS;

/** Behind a step so many ways of so many pure nodes. */
function region(ways: number, deep: number): Ir {
  const nodes: object[] = [
    { id: "a", type: "function", config: { function_name: "builtin.echo" } },
  ];
  const edges: object[] = [];
  for (let i = 0; i < ways; i++) {
    for (let d = 0; d < deep; d++) {
      nodes.push({ id: `n${i}-${d}`, type: "transform", config: { expression: "data" } });
      edges.push({ from: d === 0 ? "a" : `n${i}-${d - 1}`, to: `n${i}-${d}` });
    }
  }
  const { ir, diagnostics } = compile({ document: { name: "t", nodes, edges } as never });
  if (ir === null) {
    throw new Error(JSON.stringify(diagnostics));
  }
  return ir;
}

/** The item of its first node's success; `more` is of the token. */
function settled(ir: Ir, more: Partial<Prepared> = {}): CompletionItem {
  const profile = new Profiles().add(ir, "h", place);
  const token = { runId: "r", unit: "r", epoch: "1", node: 0, scope: "", attempt: 1, kind: "run" };
  const entry = { queueKey: profile.queueKeys[ir.nodes[0]?.queue ?? 0], entryId: "1-0" };
  const node = ir.nodes[0] as IrNode;
  const p = { token: { ...token, ...entry }, profile, node, data: new RunData(ir), ...more };
  const item = itemOf(p as never);
  new Results({ outputBytesMax }).succeed(p as never, item, 0, 1, { data: 1 }, 1, "");
  return item;
}

describe("A10: pure nodes in the step before them", () => {
  it.each([
    [1, 70],
    [40, 3],
    [3, 40],
  ])("are 64, those that were read for: of %i ways of %i", (ways, deep) => {
    const ir = region(ways, deep);
    const { fused } = needsOf(ir, 0);
    const { results } = settled(ir);
    expect(fused.size).toBe(64);
    expect(new Set(results.slice(1).map(({ node }) => node))).toEqual(fused);
    // All others behind them go through their queue.
    const queued = results.flatMap(({ plan }) => plan.plain.filter((_, i) => i % 2 === 0));
    expect(queued).toHaveLength(ways === 40 ? 40 : ways);
  });

  it("are none if nothing was read for the token", () => {
    expect(settled(region(3, 2), { isUnread: true }).results).toHaveLength(1);
  });
});

describe("an output", () => {
  it("is kept up to 16 MiB unless a worker is told otherwise (docs/limits.md)", () => {
    const results = new Results({ outputBytesMax });
    const longest = "x".repeat(16 * 1024 * 1024 - 2);
    expect(results.text(longest)).toHaveLength(16 * 1024 * 1024);
    expect(() => results.text(`${longest}x`)).toThrow(/at most 16777216 bytes/);
  });
});
