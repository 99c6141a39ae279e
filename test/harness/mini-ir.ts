/** Small workflows as IR, for tests below the compiler: nodes by id in topological order. */
import type { Ir, IrEdge, IrLoop, IrNode } from "../../compiler/ir.ts";

export interface MiniOptions {
  /** Nodes given by index, `delay_ms` 0 unless given. */
  loops?: (Omit<IrLoop, "delay_ms" | "max_iterations" | "condition"> & Partial<IrLoop>)[];
  joins?: { [id: string]: { kind: "any" | "count"; need: number } };
  failure?: "fail_fast" | "continue";
  output?: string;
  timeoutMs?: number;
  /** What is different from an echo function, by node id. */
  nodes?: { [id: string]: Partial<IrNode> };
}

/** Builds an IR of echo functions; `edges` are [from, to, more?]. */
export function miniIr(
  ids: string[],
  edges: [string, string, Partial<IrEdge>?][],
  options: MiniOptions = {},
): Ir {
  const index = (id: string): number => ids.indexOf(id);
  const irEdges: IrEdge[] = edges.map(([from, to, more]) => ({
    from: index(from),
    to: index(to),
    on: "success",
    condition: null,
    ...more,
  }));
  const loops: IrLoop[] = (options.loops ?? []).map((loop) => ({
    delay_ms: 0,
    max_iterations: 9,
    condition: "true",
    ...loop,
  }));
  const nodes = ids.map((id, i) => node(id, i, irEdges, loops, options));
  const roots = nodes.flatMap((n, i) => (n.is_entry ? [i] : []));
  const leaves = nodes.flatMap((n, i) => (n.is_terminal ? [i] : []));
  return {
    version: 1,
    name: "mini",
    workflow_version: "",
    input_schema: null,
    ...(options.output === undefined ? {} : { output: options.output }),
    settings: {
      timeout_ms: options.timeoutMs ?? null,
      priority: "normal",
      failure: options.failure ?? "fail_fast",
    },
    nodes,
    edges: irEdges,
    loops,
    queues: ["fn:builtin.echo"],
    analysis: {
      roots,
      leaves,
      branch_points: [],
      convergence_points: [],
      levels: [],
      critical_path: [],
      path_count: "1",
      tokens_max: 1,
    },
  };
}

function node(
  id: string,
  i: number,
  edges: IrEdge[],
  loops: IrLoop[],
  options: MiniOptions,
): IrNode {
  const into = edges.flatMap((edge, k) => (edge.to === i ? [k] : []));
  const out = edges.flatMap((edge, k) => (edge.from === i ? [k] : []));
  const join = options.joins?.[id] ?? { kind: "all", need: 0 };
  const latch = loops.findIndex((loop) => loop.latch === i);
  const inside = loops.flatMap((loop, k) => (loop.body.includes(i) ? [k] : []));
  return {
    id,
    type: "function",
    queue: 0,
    config: { function_name: "builtin.echo" },
    pure: false,
    fusible: false,
    is_entry: into.length === 0,
    is_terminal: out.length === 0,
    join: { ...join, arity: into.length } as IrNode["join"],
    in: into,
    out,
    loop: inside.at(-1) ?? null,
    latch_of: latch < 0 ? null : latch,
    head_of: loops.flatMap((loop, k) => (loop.head === i ? [k] : [])),
    retry: {
      max_attempts: 1,
      backoff_ms: 1000,
      backoff_multiplier: 2,
      max_backoff_ms: 60_000,
      jitter: 0.2,
    },
    timeout_ms: null,
    routing: "each",
    on_no_match: "error",
    refs: [],
    edge_refs: [],
    uses_input: false,
    ...options.nodes?.[id],
  };
}
