/** Names of types in the dialects (D07), and references in templates (D22). */
import { describe, expect, it } from "vitest";
import { compile, readNative } from "../index.ts";
import type { Json } from "../index.ts";
import { interpret } from "../reference/index.ts";
import { compileTemplate } from "../../condition/index.ts";
import { resolveType, TYPE_NAMES } from "../kinds/types.ts";
import { DIALECT_NAMES, detectDialect } from "./detect.ts";
import { DIALECT_TYPES } from "./types.ts";

type JsonObject = { [key: string]: Json };

/** The first node that a one-step file becomes. */
function nodeOf(document: JsonObject): JsonObject {
  const native = readNative({ document });
  const { nodes } = (native.value ?? {}) as { nodes?: JsonObject[] };
  return nodes?.[0] ?? {};
}

describe("types of steps, states and nodes", () => {
  const names = [...TYPE_NAMES, ...Object.keys(DIALECT_TYPES)];

  it.each(names)("%s means the same in every dialect", (type) => {
    const item = { id: "a", type, config: { x: 1 } };
    const meant = Object.hasOwn(DIALECT_TYPES, type) ? DIALECT_TYPES[type]?.type : type;
    const graph = { ...item, dependencies: [] };
    const files = [{ steps: [item] }, { states: [item] }, { nodes: [graph] }];
    for (const file of files) {
      const node = nodeOf(file as JsonObject);
      expect(node["type"]).toBe(meant);
      expect(resolveType(String(node["type"]))).toBeDefined();
    }
  });

  it("a named function keeps the keys of its config as its params", () => {
    const document = {
      name: "x",
      steps: [{ id: "a", type: "store_result", config: { table: "t" } }],
    };
    expect(compile({ document }).ir?.nodes[0]).toMatchObject({
      type: "function",
      config: { function_name: "store_result", params: { table: "t" } },
    });
  });

  it.each(["steps", "states"])("an unknown type is an error in %s, not a step left out", (key) => {
    const { ir, diagnostics } = compile({
      document: { name: "x", [key]: [{ id: "a", type: "magic" }] },
    });
    expect(ir).toBeNull();
    expect(diagnostics).toMatchObject([{ code: "GV4001", pointer: `/${key}/0/type` }]);
  });
});

describe("the dialect of a file", () => {
  it.each<[string, Json]>([
    ["native", { nodes: [{ id: "a", type: "noop" }] }],
    ["native", { nodes: [], steps: [] }],
    ["native", []],
    ["steps", { steps: [] }],
    ["states", { states: [] }],
    ["graph", { nodes: [{ id: "a", dependencies: [] }] }],
    ["graph", { nodes: [{ id: "a", loop: { enabled: true } }] }],
    ["graph", { nodes: [{ id: "a", loop: { condition: { expression: "true" } } }] }],
    ["asl", { StartAt: "A" }],
    ["asl", { States: {} }],
  ])("is %s for %j", (dialect, value) => {
    expect(detectDialect(value)).toBe(dialect);
  });

  it("that was named is taken, and refused where the file is not in it", () => {
    for (const dialect of DIALECT_NAMES) {
      const { ir, diagnostics } = compile({ document: { name: "x" }, dialect });
      expect(ir).toBeNull();
      expect(diagnostics.map(({ code }) => code)).toContain(
        dialect === "native" ? "GV1012" : "GV5003",
      );
    }
  });
});

describe("references in templates of steps", () => {
  const steps = [
    { id: "one", type: "task", config: { function_name: "give" } },
    {
      id: "two",
      type: "transform",
      config: {
        expression: {
          number: "{{one.output.n}}",
          list: "{{prev.output.l}}",
          run: "{{inputs.x}}",
          trigger: "{{trigger.x}}",
          text: "n={{prev.output.n}}, l={{one.output.l[1]}}, {{not.a.reference}}",
          whole: "{{prev.output}}",
        },
      },
    },
  ];

  const run = (output: Json, input: Json) => {
    const { ir, diagnostics } = compile({ document: { name: "x", steps } });
    if (!ir) throw new Error(diagnostics.map(({ message }) => message).join());
    return interpret(ir, input, {
      handlers: {
        evaluate: (node, { vars }) => {
          if (node.type !== "transform") return { output };
          try {
            return { output: compileTemplate(node.config["expression"] ?? null).evaluate(vars) };
          } catch (error) {
            return { error: { code: "BAD_INPUT", message: String(error) } };
          }
        },
      },
    });
  };

  it("keep the types of values", () => {
    const output = { n: 1.5, l: [true, null] };
    expect(run(output, { x: { deep: [] } }).output).toEqual({
      number: 1.5,
      list: [true, null],
      run: { deep: [] },
      trigger: { deep: [] },
      text: "n=1.5, l=null, {{not.a.reference}}",
      whole: output,
    });
  });

  it("fail where there is nothing, and never run code", () => {
    expect(run({ n: 1 }, { x: 1 }).error).toMatchObject({ code: "BAD_INPUT" });
    const code = "${process.exit(1)} {{constructor.output}}";
    expect(run({ n: code, l: [0, code] }, { x: code }).output).toMatchObject({
      number: code,
      run: code,
    });
  });
});
