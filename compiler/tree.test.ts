import { describe, expect, it } from "vitest";
import { compile, formatDiagnostic } from "./index.ts";
import type { Ir } from "./index.ts";
import { DEFAULT_LIMITS } from "./limits.ts";

const FAN_MAX = DEFAULT_LIMITS.fan;

const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}`);
const noop = (id: string): object => ({ id, type: "noop" });

function compiled(nodes: object[], edges: object[]): Ir {
  const { ir, diagnostics } = compile({ document: { name: "w", nodes, edges } });
  if (!ir) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
  return ir;
}

function expectNarrow(ir: Ir): void {
  for (const node of ir.nodes) {
    expect(node.in.length).toBeLessThanOrEqual(FAN_MAX);
    expect(node.out.length).toBeLessThanOrEqual(FAN_MAX);
  }
  expect(ir.analysis.roots.length).toBeLessThanOrEqual(FAN_MAX);
}

const made = (ir: Ir): string[] => ir.nodes.filter((n) => n.synthetic).map((n) => n.id);

describe("wide places", () => {
  it("a fan and the join behind it become trees of parallel nodes", () => {
    const middle = ids(1200);
    const ir = compiled(
      [noop("s"), noop("e"), ...middle.map(noop)],
      middle.flatMap((id) => [
        { from: "s", to: id },
        { from: id, to: "e" },
      ]),
    );
    expectNarrow(ir);
    expect(made(ir).sort()).toEqual([
      ...["~fan:s:0", "~fan:s:1", "~fan:s:2", "~join:e:0", "~join:e:1", "~join:e:2"],
    ]);
    expect(ir.analysis.path_count).toBe("1200");
  });

  it("many entries start behind a few", () => {
    const ir = compiled(ids(1100).map(noop), []);
    expectNarrow(ir);
    expect(ir.analysis.roots.map((i) => ir.nodes[i]?.id)).toEqual([
      ...["~entry:0", "~entry:1", "~entry:2"],
    ]);
  });

  it("conditions of a fan go with their edges, and so does what they read", () => {
    const middle = ids(600);
    const ir = compiled(
      [noop("a"), noop("s"), ...middle.map(noop)],
      [
        { from: "a", to: "s" },
        ...middle.map((to, i) => ({ from: "s", to, condition: `ctx.a.output.v > ${i}` })),
      ],
    );
    expectNarrow(ir);
    const fan = ir.nodes.find((n) => n.id === "~fan:s:0");
    expect(fan?.edge_refs.map((i) => ir.nodes[i]?.id)).toEqual(["a"]);
    expect(fan?.out.every((edge) => ir.edges[edge]?.condition !== null)).toBe(true);
    const source = ir.nodes.find((n) => n.id === "s");
    expect(source?.out.map((edge) => ir.edges[edge]?.condition)).toEqual([null, null]);
  });

  it("a first-match node hands over by its default, and the order of trying stays", () => {
    const middle = ids(1200);
    const ir = compiled(
      [{ id: "s", type: "conditional" }, noop("other"), ...middle.map(noop)],
      [
        { from: "s", to: "other" },
        ...middle.map((to, i) => ({ from: "s", to, condition: `output.v == ${i}` })),
      ],
    );
    expectNarrow(ir);
    const tried: (string | null)[] = [];
    let at = ir.nodes.findIndex((n) => n.id === "s");
    for (let next: number | undefined = at; next !== undefined;) {
      at = next;
      next = undefined;
      expect(ir.nodes[at]?.routing).toBe("first");
      for (const index of ir.nodes[at]?.out ?? []) {
        const edge = ir.edges[index];
        if (edge?.condition) tried.push(edge.condition);
        else if (ir.nodes[edge?.to ?? 0]?.synthetic) next = edge?.to;
        else expect(ir.nodes[edge?.to ?? 0]?.id).toBe("other");
      }
    }
    expect(tried).toEqual(middle.map((_, i) => `output.v == ${i}`));
  });

  it("inside a loop the tree belongs to the body", () => {
    const middle = ids(600);
    const loop = { condition: "output.again", max_iterations: 2, loop_back_to: "h" };
    const ir = compiled(
      [noop("h"), { id: "l", type: "loop", config: loop }, ...middle.map(noop)],
      middle.flatMap((id) => [
        { from: "h", to: id },
        { from: id, to: "l" },
      ]),
    );
    expectNarrow(ir);
    expect(ir.nodes.every((n) => n.loop === 0)).toBe(true);
    expect(ir.loops[0]?.body).toHaveLength(ir.nodes.length);
  });
});
