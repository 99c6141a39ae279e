/** What one step takes with it: pure nodes behind it, and outputs as far as they are kept. */
import { describe, expect, it } from "vitest";
import { compile, type Ir, type IrNode, type Json } from "../compiler/index.ts";
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
  return irOf(nodes, edges);
}

function irOf(nodes: object[], edges: object[]): Ir {
  const { ir, diagnostics } = compile({ document: { name: "t", nodes, edges } as never });
  if (ir === null) {
    throw new Error(JSON.stringify(diagnostics));
  }
  return ir;
}

/** The item of its first node's success; `more` is of the token. */
function settled(ir: Ir, more: Partial<Prepared> = {}, output: Json = 1): CompletionItem {
  const profile = new Profiles().add(ir, "h", place);
  const token = { runId: "r", unit: "r", epoch: "1", node: 0, scope: "", attempt: 1, kind: "run" };
  const entry = { queueKey: profile.queueKeys[ir.nodes[0]?.queue ?? 0], entryId: "1-0" };
  const node = ir.nodes[0] as IrNode;
  const p = { token: { ...token, ...entry }, profile, node, data: new RunData(ir), ...more };
  const item = itemOf(p as never);
  new Results({ workerId: "w", outputBytesMax }).succeed(
    p as never,
    item,
    0,
    1,
    { data: 1 },
    output,
    "",
  );
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
    const results = new Results({ workerId: "w", outputBytesMax });
    const longest = "x".repeat(16 * 1024 * 1024 - 2);
    expect(results.text(longest)).toHaveLength(16 * 1024 * 1024);
    expect(() => results.text(`${longest}x`)).toThrow(/at most 16777216 bytes/);
  });
});

describe("an output that a node's edges cannot be decided with", () => {
  const call = (id: string): object => ({
    ...{ id, type: "function", config: { function_name: "builtin.echo" } },
  });
  const condition = "output.there.deep > 1";
  const ifBroken = { from: "a", to: "c", on: "error", condition: "output.nothing.here > 1" };
  const broken = (...more: object[]): Ir =>
    irOf(["a", "b", "c"].map(call), [{ from: "a", to: "b", condition }, ...more]);
  const failed = (ir: Ir, output: Json): unknown => {
    const [result, ...others] = settled(ir, {}, output).results;
    expect(others).toEqual([]);
    return { op: result?.op, value: JSON.parse(result?.value ?? "null") as Json };
  };
  const message = expect.stringMatching(/^edge to "b" \(condition output\.there/) as string;
  const error = { code: "CONDITION_FAILED", message, node: "a", attempts: 1 };

  it("is kept in the node's error, and goes along error edges with it", () => {
    const value = { error: { ...error, details: { output: { kept: [1, null] } } } };
    const handled = broken({ from: "a", to: "c", on: "error" });
    expect(failed(broken(), { kept: [1, null] })).toEqual({ op: "X", value });
    expect(failed(handled, { kept: [1, null] })).toEqual({ op: "F", value });
  });

  it.each(["x", "ü"])("is kept up to 16 KiB, of a longer one how long it was: of %s", (letter) => {
    const size = Buffer.byteLength(letter);
    const longest = letter.repeat((16 * 1024 - 2) / size);
    const kept = { error: { ...error, details: { output: longest } } };
    expect(failed(broken(), longest)).toEqual({ op: "X", value: kept });
    const told = { error: { ...error, details: { output_bytes: 16 * 1024 + size } } };
    expect(failed(broken(), longest + letter)).toEqual({ op: "X", value: told });
  });

  it("is the error with which it has failed, if that cannot be decided with either", () => {
    const first = { error: { ...error, details: { output: 1 } } };
    expect(failed(broken(ifBroken), 1)).toEqual({
      op: "X",
      value: {
        error: {
          ...{ ...error, message: expect.stringMatching(/^edge to "c"/) as string },
          details: { output: first },
        },
      },
    });
  });
});
