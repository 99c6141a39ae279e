/**
 * The workloads, as shapes. The engine's documents, the floor's plans and the peers' flows are all
 * made of these, so that everybody runs the same graph.
 *
 * Every node is a step that does nothing and answers with about 50 bytes: what is measured is the
 * engine, not the work.
 */

export interface Shape {
  name: string;
  /** Nodes, which are steps: each is executed once per run. */
  steps: number;
  edges: readonly (readonly [from: number, to: number])[];
  /** False: the engine takes every step through its queue. */
  fusion?: boolean;
}

/** Name of the function that every step calls. */
export const STEP_FUNCTION = "bench.step";
/** What every step answers, 48 bytes as JSON. */
export const STEP_OUTPUT = { status: "done", value: "0123456789abcdefghij" };

/** `n` steps, one after the other. */
export function chain(n: number): Shape {
  const edges = Array.from({ length: n - 1 }, (_, i) => [i, i + 1] as const);
  return { name: n === 1 ? "single" : `chain${n}`, steps: n, edges };
}

/** The same, executed by one worker without a hop in between where it can. */
export function straight(n: number): Shape {
  return { ...chain(n), name: `straight${n}` };
}

/** One step, then `n` at the same time, then one that waits for all of them. */
export function fan(n: number): Shape {
  const branches = Array.from({ length: n }, (_, i) => i + 1);
  const edges = [
    ...branches.map((branch) => [0, branch] as const),
    ...branches.map((branch) => [branch, n + 1] as const),
  ];
  const name = n === 2 ? "diamond" : `fan${n}`;
  return { name, steps: n + 2, edges };
}

/** The rows with a floor, an engine and a peer figure. */
export const THROUGHPUT: readonly Shape[] = [
  { ...chain(10), fusion: false },
  straight(10),
  fan(2),
  fan(50),
];

/** About the widest fan-out that a document of at most 1 MiB of text allows. */
export const WIDEST: Shape = fan(8000);

/** A workflow document of this shape. */
export function documentOf(shape: Shape): object {
  const nodes = Array.from({ length: shape.steps }, (_, i) => ({
    id: `s${i}`,
    type: "function",
    config: { function_name: STEP_FUNCTION },
  }));
  const edges = shape.edges.map(([from, to]) => ({ from: `s${from}`, to: `s${to}` }));
  const settings = shape.fusion === undefined ? {} : { settings: { fusion: shape.fusion } };
  return { name: `bench-${shape.name}`, nodes, edges, ...settings };
}

/** A run that waits: nothing but a delay of `ms`. */
export function parkedDocument(ms: number): object {
  const nodes = [{ id: "wait", type: "delay", config: { delay_ms: ms } }];
  return { name: "bench-parked", nodes, edges: [] };
}

/** One step, then `n` ready tokens in a queue that no worker reads. */
export function unreadDocument(n: number): object {
  const { nodes, edges } = documentOf(fan(n)) as Graph;
  const held = nodes.map((node, i) => (i === 0 ? node : { ...node, queue: "bench:unread" }));
  return { name: "bench-unread", nodes: held, edges };
}

interface Graph {
  nodes: object[];
  edges: object[];
}
