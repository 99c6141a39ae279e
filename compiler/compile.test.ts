import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { assertIr, canonicalJson, compile, formatDiagnostic, hashIr } from "./index.ts";
import type { Diagnostic, Ir } from "./index.ts";

type Entry = Record<string, unknown>;

const call = (id: string, more: Entry = {}): Entry => ({
  id,
  type: "function",
  config: { function_name: "f" },
  ...more,
});

function compiled(document: unknown): Ir {
  const { ir, diagnostics } = compile({ document });
  if (!ir) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
  return ir;
}

function codes(document: unknown): string[] {
  return compile({ document }).diagnostics.map((d: Diagnostic) => d.code);
}

function node(ir: Ir, id: string): Ir["nodes"][number] {
  const found = ir.nodes.find((candidate) => candidate.id === id);
  if (!found) throw new Error(`no node ${id}`);
  return found;
}

/** Edges as `from -on-> to [condition]`. */
function edges(ir: Ir): string[] {
  return ir.edges.map(({ from, to, on, condition }) => {
    const ends = `${ir.nodes[from]?.id} -${on}-> ${ir.nodes[to]?.id}`;
    return condition === null ? ends : `${ends} [${condition}]`;
  });
}

const ORDER = {
  metadata: { name: "order", version: "1.2.0" },
  nodes: [
    { id: "fetch", type: "http", config: { url: "https://api.example.com/${input.id}" } },
    { id: "check", type: "conditional" },
    call("vip", { config: { function_name: "v", total: "${ctx.fetch.output.total}" } }),
    call("standard"),
    call("alert"),
    call("finish"),
  ],
  edges: [
    { from: "fetch", to: "check" },
    { from: "check", to: "vip", condition: "output.total >= 1000" },
    { from: "check", to: "standard" },
    { from: "fetch", to: "alert", on: "error" },
    { from: "vip", to: "finish" },
    { from: "standard", to: "finish" },
  ],
};

describe("identity", () => {
  it("does not depend on the order of nodes and keys, nor on the spelling as YAML", () => {
    const reversed = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(reversed);
      if (typeof value !== "object" || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, part]) => [key, reversed(part)]),
      );
    };
    const shuffled = reversed({ ...ORDER, nodes: [...ORDER.nodes].reverse() });
    const { hash } = compile({ document: ORDER });
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(compile({ document: shuffled }).hash).toBe(hash);
    expect(compile({ text: JSON.stringify(ORDER, null, 3) }).hash).toBe(hash);
    expect(compile({ text: stringify(ORDER), file: "w.yaml" }).hash).toBe(hash);
  });

  it("changes with the order of one node's edges, which is the order of trying", () => {
    const [a, b, c, ...rest] = ORDER.edges;
    const other = { ...ORDER, edges: [a, c, b, ...rest] };
    expect(compile({ document: other }).hash).not.toBe(compile({ document: ORDER }).hash);
  });

  it("is the hash of the canonical JSON, which survives a round trip", () => {
    const ir = compiled(ORDER);
    const copy = assertIr(JSON.parse(canonicalJson(ir)));
    expect(hashIr(copy)).toBe(compile({ document: ORDER }).hash);
  });

  it("an IR of another version is refused with the remedy", () => {
    expect(() => assertIr({ version: 99 })).toThrow(/version 99.*compile the workflow again/);
  });

  it("keys such as __proto__ are data", () => {
    const text = `{"name":"w","nodes":[{"id":"a","type":"function",
      "config":{"function_name":"f","params":{"__proto__":{"x":1},"constructor":2}}}]}`;
    const params = compile({ text }).ir?.nodes[0]?.config["params"];
    expect(canonicalJson(params)).toBe('{"__proto__":{"x":1},"constructor":2}');
  });
});

describe("nodes", () => {
  it("carry what is known of their place", () => {
    const ir = compiled(ORDER);
    expect(ir.nodes.map((n) => n.id)).toEqual([
      ...["fetch", "alert", "check", "standard", "vip", "finish"],
    ]);
    expect(node(ir, "fetch")).toMatchObject({ is_entry: true, is_terminal: false, pure: false });
    expect(node(ir, "check")).toMatchObject({ fusible: true, routing: "first" });
    expect(node(ir, "finish")).toMatchObject({
      is_terminal: true,
      join: { kind: "all", need: 0, arity: 2 },
    });
    expect(node(ir, "vip").refs).toEqual([ir.nodes.findIndex((n) => n.id === "fetch")]);
    expect(node(ir, "fetch").uses_input).toBe(true);
    expect(ir.queues).toEqual(["fn:f", "fn:v", "kind:conditional", "kind:http"]);
    expect(ir.queues[node(ir, "vip").queue]).toBe("fn:v");
  });

  it("types of other files mean ours", () => {
    const document = {
      name: "w",
      nodes: [
        { id: "s", type: "start" },
        call("t", { type: "task" }),
        { id: "d", type: "decision", config: { mode: "all", on_no_match: "skip" } },
        { id: "x", type: "transformation", config: { transformation: "trim" } },
      ],
      edges: [
        { from: "s", to: "t" },
        { from: "t", to: "d" },
        { from: "d", to: "x", condition: "output.a" },
      ],
    };
    const ir = compiled(document);
    expect(["s", "t", "d", "x"].map((id) => node(ir, id).type)).toEqual([
      ...["parallel", "function", "conditional", "transform"],
    ]);
    expect(node(ir, "d")).toMatchObject({ routing: "all", on_no_match: "skip", config: {} });
  });

  it("keys of a function's config are its params, unless it has params", () => {
    const config = { function_name: "f", a: 1, b: "${input.x}", input: "${data}" };
    const own = compiled({ name: "w", nodes: [call("n", { config })] });
    expect(node(own, "n").config).toEqual({
      function_name: "f",
      params: { a: 1, b: "${input.x}" },
      input: "${data}",
    });
    const both = { function_name: "f", params: { a: 1 }, b: 2 };
    expect(codes({ name: "w", nodes: [call("n", { config: both })] })).toEqual(["GV4004"]);
  });

  it("an override names the queue, a pure type its kind", () => {
    const nodes = [call("a", { queue: "gpu" }), { id: "b", type: "noop" }];
    expect(compiled({ name: "w", nodes }).queues).toEqual(["gpu", "kind:parallel"]);
  });

  it("retry fills in defaults, cache and join keep what the author wrote", () => {
    const document = {
      name: "w",
      nodes: [
        call("a", { retry: { max_attempts: 3 }, cache: true, timeout_ms: 5 }),
        call("b"),
        call("c", { wait_for_all: false }),
      ],
      edges: [
        { from: "a", to: "c" },
        { from: "b", to: "c" },
      ],
    };
    const ir = compiled(document);
    expect(node(ir, "a")).toMatchObject({
      retry: { max_attempts: 3, backoff_ms: 1000, backoff_multiplier: 2, max_backoff_ms: 60_000 },
      cache: { ttl_ms: null },
      timeout_ms: 5,
    });
    expect(node(ir, "c").join).toEqual({ kind: "any", need: 1, arity: 2 });
  });

  it("A10: a pure node is not fused as a join, an entry or over a loop's border", () => {
    const document = {
      name: "w",
      nodes: [
        { id: "s", type: "noop" },
        { id: "a", type: "noop" },
        { id: "b", type: "function", config: { function_name: "f" } },
        { id: "j", type: "noop" },
        { id: "l", type: "loop", config: { condition: "false", max_iterations: 2 } },
        { id: "z", type: "noop" },
      ],
      edges: [
        { from: "s", to: "a" },
        { from: "s", to: "b" },
        { from: "a", to: "j" },
        { from: "b", to: "j" },
        { from: "j", to: "l" },
        { from: "l", to: "z" },
      ],
    };
    const ir = compiled(document);
    expect(ir.nodes.filter((n) => n.fusible).map((n) => n.id)).toEqual(["a"]);
    expect(node(ir, "l")).toMatchObject({ pure: true, latch_of: 0, head_of: [0], loop: 0 });
  });
});

describe("edges", () => {
  it("branch says the same as edges, and a rule with several targets fans out", () => {
    const branch = {
      rules: [
        { condition: "$.score >= 80", next_nodes: ["a"] },
        { condition: "output.score >= 50", next_nodes: ["a", "b"] },
      ],
      default: ["c"],
    };
    const nodes = [call("s", { branch }), call("a", { join: "any" }), call("b"), call("c")];
    const ir = compiled({ name: "w", nodes, edges: [{ from: "s", to: "a" }] });
    expect(edges(ir)).toEqual([
      "s -success-> a [output.score >= 80]",
      "s -success-> ~branch:s:1 [output.score >= 50]",
      "s -success-> c",
      "~branch:s:1 -success-> a",
      "~branch:s:1 -success-> b",
    ]);
    expect(node(ir, "s").routing).toBe("first");
    expect(node(ir, "~branch:s:1")).toMatchObject({ synthetic: true, fusible: true });
  });

  it("two edges may join two nodes if their event differs", () => {
    const edge = { from: "a", to: "b" };
    const ir = compiled({
      name: "w",
      nodes: [call("a"), call("b")],
      edges: [edge, { ...edge, on: "error" }],
    });
    expect(edges(ir)).toEqual(["a -success-> b", "a -error-> b"]);
  });

  it("older spellings of references become CEL, and a node's own output `output`", () => {
    const ir = compiled({
      name: "w",
      nodes: [call("a"), call("b", { config: { function_name: "f", x: "{{a.output.v}}" } })],
      edges: [{ from: "a", to: "b", condition: "$nodes.a.v > 1 && $.w < 2" }],
    });
    expect(edges(ir)).toEqual(["a -success-> b [output.v > 1 && output.w < 2]"]);
    expect(node(ir, "b").config["params"]).toEqual({ x: "${ctx.a.output.v}" });
    expect(node(ir, "a").edge_refs).toEqual([]);
  });
});

describe("loops", () => {
  const poll = (config: Entry): Entry => ({
    id: "poll",
    type: "loop",
    config: { function_name: "get", max_iterations: 5, condition: "output.again", ...config },
  });

  it("paths become edges, drawn ones add nothing, the way back is no edge", () => {
    const paths = { loop_back_to: "poll", break_path: ["ok"], timeout_path: ["gave_up"] };
    const ir = compiled({
      name: "w",
      nodes: [poll(paths), call("ok"), call("gave_up"), call("more"), call("oops")],
      edges: [
        { from: "poll", to: "poll" },
        { from: "poll", to: "ok" },
        { from: "poll", to: "gave_up" },
        { from: "poll", to: "more" },
        { from: "poll", to: "oops", on: "error" },
      ],
    });
    expect(edges(ir)).toEqual([
      "poll -success-> ok",
      "poll -success-> more",
      "poll -error-> oops",
      "poll -exhausted-> gave_up",
    ]);
    expect(ir.loops).toEqual([
      ...[{ head: 0, latch: 0, body: [0], parent: null, max_iterations: 5 }].map((loop) => ({
        ...loop,
        condition: "output.again",
        delay_ms: 0,
      })),
    ]);
    expect(node(ir, "poll")).toMatchObject({ is_entry: true, pure: false });
    expect(node(ir, "poll").config).toEqual({ function_name: "get" });
  });

  describe("A15: with a body that is not whole is refused", () => {
    const turns = (id: string, back: string): Entry =>
      call(id, { loop: { condition: "iteration < 3", max_iterations: 3, loop_back_to: back } });
    /** Of `top -> a -> b -> z`, where `b` goes back to `a`. */
    const around = (edges: Entry[], more: Entry[] = [], back = "a"): unknown => ({
      name: "w",
      nodes: [...[call("top"), call("a"), call("z")], turns("b", back), ...more],
      edges: [
        ...[
          { from: "top", to: "a" },
          { from: "a", to: "b" },
          { from: "b", to: "z" },
        ],
        ...edges,
      ],
    });
    const overlapping = {
      name: "w",
      nodes: [call("a"), turns("b", "a"), turns("c", "b"), call("z")],
      edges: [
        { from: "a", to: "b" },
        { from: "b", to: "c" },
        { from: "c", to: "z" },
      ],
    };
    it.each<[string, unknown, string]>([
      ["entered in its middle", around([{ from: "top", to: "b" }]), "GV2012"],
      ["with an entry node in it", around([{ from: "x", to: "b" }], [call("x")]), "GV2012"],
      [
        "left by a node that leads nowhere",
        around([{ from: "a", to: "x" }], [call("x")]),
        "GV2013",
      ],
      [
        "left by an error edge",
        around([{ from: "a", to: "x", on: "error" }], [call("x")]),
        "GV2013",
      ],
      ["that overlaps another", overlapping, "GV2014"],
      ["that goes back to where it does not come from", around([], [], "z"), "GV2011"],
    ])("%s", (_, document, code) => {
      expect(codes(document)).toContain(code);
    });

    it("and one that is whole is not", () => {
      expect(codes(around([])).filter((code) => code.startsWith("GV20"))).toEqual([]);
    });
  });

  it("A15: nest, the outer one first, and may share a head", () => {
    const loop = (back: string): Entry => ({
      loop: { condition: "iteration < 3", max_iterations: 3, loop_back_to: back },
    });
    const ir = compiled({
      name: "w",
      nodes: [call("h"), call("inner", loop("h")), call("outer", loop("h")), call("end")],
      edges: [
        { from: "h", to: "inner" },
        { from: "inner", to: "outer" },
        { from: "outer", to: "end" },
      ],
    });
    const shape = ir.loops.map(({ body, parent }) => ({
      ids: body.map((i) => ir.nodes[i]?.id),
      parent,
    }));
    expect(shape).toEqual([
      { ids: ["h", "inner", "outer"], parent: null },
      { ids: ["h", "inner"], parent: 0 },
    ]);
    expect(node(ir, "h")).toMatchObject({ head_of: [0, 1], loop: 1, is_entry: true });
    expect(node(ir, "outer")).toMatchObject({ loop: 0, latch_of: 0 });
    expect(node(ir, "end").loop).toBeNull();
  });

  it("a property of a function's config is not a loop", () => {
    const config = { function_name: "f", max_iterations: 3 };
    const ir = compiled({ name: "w", nodes: [call("a", { config })] });
    expect(ir.loops).toEqual([]);
    expect(node(ir, "a").config["params"]).toEqual({ max_iterations: 3 });
  });
});

describe("the document as an object", () => {
  it("has pointers but no places", () => {
    const { diagnostics } = compile({ document: { name: "w", nodes: [{ id: "a" }] } });
    expect(diagnostics).toMatchObject([
      { code: "GV1012", line: 1, column: 1, pointer: "/nodes/0" },
    ]);
  });

  it("that is no JSON is refused", () => {
    const cyclic: Entry = {};
    cyclic["self"] = cyclic;
    expect(codes(cyclic)).toEqual(["GV1010"]);
    expect(codes(undefined)).toEqual(["GV1010"]);
    expect(codes({ name: "w", nodes: [], output: { x: Number.NaN } })).toEqual(["GV1010"]);
    expect(codes(null)).toEqual(["GV1005"]);
  });
});

describe("size", () => {
  it("ten thousand nodes compile", () => {
    const count = 10_000;
    const nodes = Array.from({ length: count }, (_, i) => ({
      id: `n${i}`,
      type: "function",
      config: { function_name: "f", ...(i > 9 ? { x: `\${ctx.n${i - 9}.output.a}` } : {}) },
    }));
    const edges = nodes
      .slice(1)
      .flatMap((_, i) => [
        { from: `n${i}`, to: `n${i + 1}` },
        ...(i > 5 ? [{ from: `n${i - 5}`, to: `n${i + 1}` }] : []),
      ]);
    const text = JSON.stringify({ name: "big", nodes, edges });
    const { ir, diagnostics } = compile({ text }, { limits: { bytes: 2 ** 22 } });
    expect(diagnostics).toEqual([]);
    expect(ir?.analysis.critical_path).toHaveLength(count);
  }, 60_000);
});

describe("sets_status", () => {
  it("X18: takes a business status that a node sets, and refuses what is no name", () => {
    const document = (sets_status: unknown): object => ({
      name: "w",
      nodes: [call("a", { sets_status }), call("b")],
      edges: [{ from: "a", to: "b" }],
    });
    const ir = compiled(document("on its way"));
    expect(node(ir, "a").sets_status).toBe("on its way");
    expect(node(ir, "b")).not.toHaveProperty("sets_status");
    for (const wrong of ["", " x", "x".repeat(65), 'a "b"', "a\\b", "a\nb", 7, null]) {
      expect(codes(document(wrong))).toContain("GV1013");
    }
  });
});

describe("the order of a join's input", () => {
  it("is that of the nodes it comes from, whatever the order of the edges in the file", () => {
    const nodes = ["zz", "n2", "n10", "j"].map((id) => ({ id, type: "noop" }));
    const edges = ["zz", "n2", "n10"].map((from) => ({ from, to: "j" }));
    const [one, other] = [edges, edges.toReversed()].map((drawn) =>
      compile({ document: { name: "w", nodes, edges: drawn } }),
    );
    expect(one?.hash).toBe(other?.hash);
    const ir = one?.ir;
    const sources = ir?.nodes.at(-1)?.in.map((edge) => ir.nodes[ir.edges[edge]?.from ?? -1]?.id);
    expect(sources).toEqual(["n10", "n2", "zz"]);
  });
});
