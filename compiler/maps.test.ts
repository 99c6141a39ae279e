/** Bodies of maps: what they may read, what the map then has to bring, how they are written. */
import { describe, expect, it } from "vitest";
import { compile, formatDiagnostic } from "./index.ts";
import type { Ir, IrNode } from "./index.ts";

type Entry = Record<string, unknown>;

const fn = (id: string, params: unknown = {}, more: Entry = {}): Entry => ({
  ...{ id, type: "function", config: { function_name: "f", params } },
  ...more,
});
const map = (id: string, body: Entry, more: Entry = {}, config: Entry = {}): Entry => ({
  ...{ id, type: "map", config: { do: body, ...config } },
  ...more,
});

function compiled(nodes: Entry[], edges: string[] = [], more: Entry = {}): Ir {
  const drawn = edges.flatMap((text) => {
    const ids = text.split(">");
    return ids.slice(1).map((to, i) => ({ from: ids[i], to }));
  });
  const document = { metadata: { name: "w", version: "2" }, nodes, edges: drawn, ...more };
  const { ir, diagnostics } = compile({ document });
  if (!ir || diagnostics.length > 0) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
  return ir;
}

function node(ir: Ir | undefined, id: string): IrNode {
  const found = ir?.nodes.find((candidate) => candidate.id === id);
  if (!found) throw new Error(`no node ${id}`);
  return found;
}

const ids = (ir: Ir, indexes: readonly number[] | undefined): (string | undefined)[] =>
  (indexes ?? []).map((index) => ir.nodes[index]?.id);

describe("the body of a map", () => {
  it("is an IR of its own inside the map's node", () => {
    const body = {
      nodes: [fn("b"), fn("c"), { id: "n", type: "noop" }],
      edges: [
        { from: "b", to: "c" },
        { from: "c", to: "n" },
      ],
      output: { c: "${ctx.c.output}", it: "${item}", at: "${index}" },
    };
    const settings = { priority: "high", failure: "continue", timeout_ms: 5000 };
    const ir = compiled([fn("a"), map("m", body)], ["a>m"], { settings });
    const inner = node(ir, "m").body;
    expect(inner?.nodes.map(({ id }) => id)).toEqual(["b", "c", "n"]);
    expect(inner).toMatchObject({
      ...{
        name: "w",
        workflow_version: "2",
        input_schema: null,
        queues: ["fn:f", "kind:parallel"],
      },
      settings: { priority: "high", failure: "fail_fast", timeout_ms: null },
      output: { c: "${ctx.c.output}", it: "${item}", at: "${index}" },
    });
    expect(inner?.analysis.critical_path).toEqual([0, 1, 2]);
    expect(node(inner, "n").fusible).toBe(true);
    expect(ir.queues).toEqual(["fn:f", "kind:map"]);
  });

  it("written as one node gets an id that the file does not use", () => {
    const ir = compiled([map("m", { type: "noop" }), fn("m-do"), map("x", { type: "noop" })]);
    expect(node(ir, "m").body?.nodes[0]?.id).toBe("m-do-2");
    expect(node(ir, "x").body?.nodes[0]?.id).toBe("x-do");
  });

  it("may have loops and wide places of its own", () => {
    const body = {
      nodes: [
        ...Array.from({ length: 501 }, (_, i) => fn(`n${i}`)),
        { id: "l", type: "loop", config: { condition: "iteration < 2", max_iterations: 2 } },
      ],
      edges: Array.from({ length: 501 }, (_, i) => ({ from: `n${i}`, to: "l" })),
    };
    const { body: inner } = node(compiled([map("m", body)]), "m");
    expect(inner?.loops).toHaveLength(1);
    expect(inner?.nodes.filter(({ synthetic }) => synthetic).map(({ id }) => id)).toEqual([
      ...["~entry:m:0", "~entry:m:1", "~join:l:0", "~join:l:1"],
    ]);
  });

  it("hands its map's retry to its only node, through maps as well", () => {
    const retry = { max_attempts: 3, on: ["B", "A", "B"], condition: "attempt < 2" };
    const ir = compiled([map("m", map("i", fn("x")), { retry })]);
    const inner = node(ir, "m").body;
    const only = node(node(inner, "i").body, "x");
    expect(only.retry).toMatchObject({ ...retry, on: ["A", "B"] });
    expect(node(ir, "m").retry.max_attempts).toBe(1);
  });

  it("is part of the workflow's identity", () => {
    const hash = (x: number): string | null =>
      compile({ document: { name: "w", nodes: [map("m", fn("b", { x }))] } }).hash;
    expect(hash(1)).not.toBe(hash(2));
    expect(hash(1)).toBe(hash(1));
  });
});

describe("what a body reads from outside", () => {
  it("is told to the map in whose graph it is, from any depth", () => {
    const innermost = fn("x", { a: "${ctx.a.output}", c: "${ctx.c.output}", n: "${input.n}" });
    const body = {
      nodes: [fn("c"), map("i", innermost)],
      edges: [{ from: "c", to: "i" }],
    };
    const ir = compiled([fn("a"), map("m", body)], ["a>m"]);
    const outer = node(ir, "m");
    const inner = node(outer.body, "i");
    expect(ids(ir, outer.outer_refs)).toEqual(["a"]);
    expect(outer.refs).toEqual([]);
    expect(outer.body && ids(outer.body, inner.outer_refs)).toEqual(["c"]);
    expect(node(inner.body, "x").refs).toEqual([]);
    expect([outer, inner, node(inner.body, "x")].map((n) => n.uses_input)).toEqual([
      ...[true, true, true],
    ]);
  });

  it("is nothing if it reads nothing", () => {
    const ir = compiled([fn("a"), map("m", fn("b", { x: "${item}" }))], ["a>m"]);
    expect(node(ir, "m")).toMatchObject({ outer_refs: [], uses_input: false });
  });

  it("may be the round of the loop in which the map stands", () => {
    const body = {
      nodes: [
        fn("b", { round: "${iteration}" }),
        { id: "l", type: "loop", config: { condition: "iteration < 2", max_iterations: 2 } },
      ],
      edges: [{ from: "b", to: "l" }],
    };
    const latch = { condition: "iteration < 3", max_iterations: 3, loop_back_to: "m" };
    compiled([map("m", body), { id: "latch", type: "loop", config: latch }], ["m>latch"]);
    const alone = compile({ document: { name: "w", nodes: [map("m", body)] } });
    expect(alone.diagnostics.map(({ code }) => code)).toEqual(["GV3007"]);
  });

  it("is certain there if it is certain at the map", () => {
    const body = fn("x", { b: "${ctx.b.output}" });
    const edges = [
      { from: "a", to: "b", condition: "output.x" },
      { from: "a", to: "m" },
      { from: "b", to: "m" },
    ];
    const { diagnostics } = compile({
      document: { name: "w", nodes: [fn("a"), fn("b"), map("m", body)], edges },
    });
    expect(diagnostics.map(({ code }) => code)).toEqual(["GV3006"]);
  });
});

describe("items", () => {
  it("are a template in the IR, written as CEL, as a template or as a list", () => {
    const items = (value: unknown): unknown =>
      node(compiled([fn("a"), map("m", { type: "noop" }, {}, { items: value })], ["a>m"]), "m")
        .config["items"];
    expect(items("ctx.a.output.filter(x, x > 1)")).toBe("${ctx.a.output.filter(x, x > 1)}");
    expect(items("${ctx.a.output}")).toBe("${ctx.a.output}");
    expect(items([1, "${input.x}"])).toEqual([1, "${input.x}"]);
  });

  it("are not read by the body", () => {
    const ir = compiled(
      [fn("a"), map("m", { type: "noop" }, {}, { items: "ctx.a.output" })],
      ["a>m"],
    );
    expect(node(ir, "m")).toMatchObject({ refs: [0], outer_refs: [] });
  });
});

describe("limits", () => {
  it("count the nodes and edges of bodies too", () => {
    const body = { nodes: [fn("a"), fn("b")], edges: [{ from: "a", to: "b" }] };
    const document = { name: "w", nodes: [map("m", body)] };
    expect(compile({ document }, { limits: { nodes: 3, edges: 1 } }).diagnostics).toEqual([]);
    const codes = (limits: object): string[] =>
      compile({ document }, { limits }).diagnostics.map((found) => found.message);
    expect(codes({ nodes: 2 })).toEqual(["3 nodes with those in bodies of maps, the limit is 2"]);
    expect(codes({ edges: 0 })).toEqual(["1 edges with those in bodies of maps, the limit is 0"]);
  });
});

describe("other kinds", () => {
  it("have the shapes that the format says", () => {
    const nodes = [
      { id: "w", type: "wait", config: { signal: "go", schema: { const: "${x" } }, timeout_ms: 9 },
      {
        ...{ id: "h", type: "approval", timeout_ms: 60_000 },
        config: { title: "Pay ${data.sum}?", assignees: ["ann", "${input.boss}"], required: 2 },
      },
      { id: "s", type: "subworkflow", config: { workflow: "other@1", input: "${ctx.h.output}" } },
    ];
    const ir = compiled(nodes, ["w>h>s"]);
    expect(ir.nodes.map(({ type }) => type)).toEqual(["wait", "human", "subworkflow"]);
    expect(ir.queues).toEqual(["kind:human", "kind:subworkflow", "kind:wait"]);
    expect(node(ir, "w").config).toEqual({ signal: "go", schema: { const: "${x" } });
    expect(node(ir, "s").refs).toEqual([1]);
  });

  it.each([
    { type: "wait", config: { signal: "go" } },
    { type: "human", config: { title: "ok?" } },
    { type: "subworkflow", config: { workflow: "other@1" } },
    { type: "map", config: { items: "[1]", do: fn("e") } },
    { type: "transform", config: { transformation: "trim" } },
  ])("what holds executions back is refused on $type, which begins none", (idle) => {
    const held = { rate_limit: { per_second: 1 }, circuit_breaker: true };
    const nodes = [{ id: "a", ...held, ...idle }];
    const { diagnostics } = compile({ document: { metadata: { name: "w" }, nodes, edges: [] } });
    expect(diagnostics.map(({ code }) => code)).toEqual(["GV4005", "GV4005"]);
  });

  it("what is not said leaves no trace in the IR", () => {
    const ir = compiled([fn("a")]);
    const keys = [
      "queue_timeout_ms",
      "rate_limit",
      "circuit_breaker",
      "compensate",
      "body",
      "outer_refs",
    ];
    expect(Object.keys(node(ir, "a")).filter((key) => keys.includes(key))).toEqual([]);
    expect(ir.settings).toEqual({ timeout_ms: null, priority: "normal", failure: "fail_fast" });
  });

  it("a circuit breaker has one form, and is read like any other expression of its node", () => {
    const whole = { key: "${ctx.a.output.host}", failures: 2, within_ms: 10, open_ms: 200 };
    const ir = compiled(
      [
        fn("a", {}, { circuit_breaker: true }),
        fn("b", {}, { circuit_breaker: { ...whole, on_open: "fail" } }),
        fn("c", {}, { circuit_breaker: false }),
      ],
      ["a>b", "b>c"],
    );
    const usual = { key: "", failures: 5, within_ms: 60_000, open_ms: 30_000, on_open: "wait" };
    expect(node(ir, "a").circuit_breaker).toEqual(usual);
    expect(node(ir, "b").circuit_breaker).toEqual({ ...whole, on_open: "fail" });
    expect(node(ir, "b").refs).toEqual([0]);
    expect("circuit_breaker" in node(ir, "c")).toBe(false);
  });

  it("limits and compensation have one form", () => {
    const more = {
      rate_limit: { key: "${input.k}", per_minute: 30 },
      compensate: { function_name: "undo", params: { id: "${output.id}", a: "${ctx.a.output}" } },
      queue_timeout_ms: 100,
    };
    const settings = {
      ...{ concurrency: { key: "${input.k}" }, rate_limit: { limit: 5, per_ms: 200 } },
      pause_after_errors: 3,
    };
    const ir = compiled([fn("a"), fn("b", {}, more)], ["a>b"], { settings });
    expect(node(ir, "b")).toMatchObject({
      rate_limit: { key: "${input.k}", limit: 30, per_ms: 60_000 },
      compensate: { ...more.compensate, queue: "fn:undo" },
      ...{ queue_timeout_ms: 100, refs: [0], uses_input: true },
    });
    expect(ir.settings).toMatchObject({
      concurrency: { key: "${input.k}", limit: 1, on_conflict: "queue" },
      rate_limit: { key: "", limit: 5, per_ms: 200 },
      pause_after_errors: 3,
    });
    const short = compiled([fn("a", {}, { compensate: "undo" })]);
    expect(node(short, "a").compensate).toEqual({ function_name: "undo", queue: "fn:undo" });
  });
});
