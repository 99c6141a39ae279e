/**
 * Which schema the values have that expressions of a graph can read: the run's input, a node's
 * input and output. Some kinds always put out the same fields. A node without a schema of its own
 * that only hands on what it gets has that of the node before it.
 */
import { own } from "./document.ts";
import type { Graph } from "./graph.ts";
import type { Json } from "./ir.ts";

/** Nodes that are looked through to one with a schema. */
const STEPS_MAX = 64;

/** The schema of what a node puts out; null: anything. */
export function outputSchemaOf(graph: Graph, index: number, runInput: Json | null): Json | null {
  let at = index;
  for (let left = STEPS_MAX; left > 0; left--) {
    const source = graph.nodes[at]?.source;
    if (!source || source.loop) return source?.outputSchema ?? null;
    if (source.outputSchema !== null) return source.outputSchema;
    const fixed = fixedOutput(source.type, own(source.config.value, "output"));
    if (fixed !== undefined) return fixed;
    const handsOn = source.type === "conditional" || source.type === "parallel";
    if (!handsOn || own(source.config.value, "input") !== undefined) return null;
    if (source.inputSchema !== null) return source.inputSchema;
    const before = sourceOf(graph, at);
    if (before === "run") return runInput;
    if (before === undefined) return null;
    at = before;
  }
  return null;
}

/** What nodes of a kind put out, whatever they ask or call; undefined: that depends. */
function fixedOutput(type: string | null, output: Json | undefined): Json | undefined {
  if (type === "human") return closed({ approved: { type: "boolean" }, by: {}, data: {} });
  if (type === "http" && output === "response") {
    return closed({ status: { type: "integer" }, headers: {}, body: {} });
  }
  return undefined;
}

function closed(properties: Json): Json {
  return { type: "object", properties, additionalProperties: false };
}

/** The schema of what a node gets; null: anything. `runInput` is that of what entries get. */
export function inputSchemaOf(graph: Graph, index: number, runInput: Json | null): Json | null {
  const source = graph.nodes[index]?.source;
  if (!source) return null;
  if (source.inputSchema !== null) return source.inputSchema;
  if (headsOf(graph).has(source.id) || own(source.config.value, "input") !== undefined) return null;
  const before = sourceOf(graph, index);
  if (before === "run") return runInput;
  return before === undefined ? null : outputSchemaOf(graph, before, runInput);
}

const heads = new WeakMap<Graph, ReadonlySet<string>>();

/** Heads of loops get the latch's output from the second round on. */
function headsOf(graph: Graph): ReadonlySet<string> {
  let known = heads.get(graph);
  if (!known) {
    known = new Set(graph.nodes.flatMap(({ source }) => source?.loop?.head.id ?? []));
    heads.set(graph, known);
  }
  return known;
}

/** The only node before, if it sends its output and no error; `run` for an entry. */
function sourceOf(graph: Graph, index: number): number | "run" | undefined {
  const [first, ...others] = graph.in[index] ?? [];
  if (first === undefined) return "run";
  const edge = graph.edges[first];
  const isOutput = edge?.on === "success" || edge?.on === "exhausted";
  return isOutput && others.length === 0 ? edge.from : undefined;
}
