/** For the tests beside this file: small workflows, and mocks of them as text. */
import { compile, type Ir, type Json } from "../../compiler/index.ts";
import { formatDiagnostic } from "../../compiler/index.ts";
import type { NodeType } from "../../compiler/ir.ts";
import { namesIn } from "./load.ts";
import { readMocks, type Mocks } from "./mocks.ts";
import { simulate, type Simulation, type SimulateOptions } from "./simulate.ts";

/** Compile a document that must be valid. */
export function made(nodes: object[], edges: object[] = [], more: object = {}): Ir {
  const { ir, diagnostics } = compile({ document: { name: "t", nodes, edges, ...more } as never });
  if (ir === null) throw new Error(diagnostics.map((d) => formatDiagnostic(d)).join("\n"));
  return ir;
}

/** A function node that calls `do.<id>`, which only a mock can answer. */
export function step(id: string, more: object = {}): object {
  return { id, type: "function", config: { function_name: `do.${id}` }, ...more };
}

/** `a>b>c` as edges. */
export function chain(...texts: string[]): { from: string; to: string }[] {
  return texts.flatMap((text) => {
    const ids = text.split(">");
    return ids.slice(1).map((to, i) => ({ from: ids[i] ?? "", to }));
  });
}

/** Mocks that must be right. */
export function mocksFor(ir: Ir, text: string): Mocks {
  const { mocks, diagnostics } = readMocks(text, "mocks.yaml", namesIn(ir));
  if (diagnostics.length === 0) return mocks;
  throw new Error(diagnostics.map((d) => formatDiagnostic(d)).join("\n"));
}

/** What is wrong with mocks, a line each. */
export function problemsOf(ir: Ir, text: string): string[] {
  const { diagnostics } = readMocks(text, "mocks.yaml", namesIn(ir));
  return diagnostics.map((d) => {
    const hint = d.hint === undefined ? "" : ` (${d.hint})`;
    return `${d.line}:${d.column} ${d.message}${hint}`;
  });
}

/** Simulate with mocks as text. */
export function run(
  ir: Ir,
  text: string,
  input: Json = {},
  more: Partial<SimulateOptions> = {},
): Simulation {
  return simulate(ir, input, { mocks: mocksFor(ir, text), seed: 1, ...more });
}

export const ids = ["a", "b", "c", "d"];

/** `a`, then `b` and `c` at the same time, then `d`. */
export const diamond = made(
  ids.map((id) => step(id)),
  chain("a>b>d", "a>c>d"),
);

/**
 * `ask`, a language model tried three times, then `tell`, which emits its answer. The compiler does
 * not accept these kinds yet, so they are compiled as `http`, which they are to a simulation: steps
 * that reach outside.
 */
export function askThenTell(): Ir {
  const config = { url: "https://example.org" };
  const kinds = new Map<string, NodeType>([
    ["ask", "llm"],
    ["tell", "emit"],
  ]);
  const ir = made(
    [
      { id: "ask", type: "http", config, retry: { max_attempts: 3, backoff_ms: 100 } },
      { id: "tell", type: "http", config },
    ],
    chain("ask>tell"),
  );
  const nodes = ir.nodes.map((node) => ({ ...node, type: kinds.get(node.id) ?? node.type }));
  return { ...ir, nodes };
}
