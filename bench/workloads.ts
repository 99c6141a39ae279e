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
  /** The engine is told that the steps only compute. */
  pure?: true;
}

/** What the engine is given: a document, its input, and how many steps one run of it executes. */
export interface Work {
  document: object;
  input?: unknown;
  steps: number;
}

/** Name of the function that every step calls. */
export const STEP_FUNCTION = "bench.step";
/** Name of a function that keeps its place in the worker for as long as `ms` says. */
export const HOLD_FUNCTION = "bench.hold";
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

/** The same with steps that are said to compute and do nothing else: `pure: true`. */
export function pure(n: number): Shape {
  return { ...chain(n), name: `pure${n}`, pure: true };
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
  pure(10),
  fan(2),
  fan(50),
];

/** About the widest fan-out that a document of at most 1 MiB of text allows. */
export const WIDEST: Shape = fan(8000);

/** A workflow document of this shape. */
export function documentOf(shape: Shape): object {
  const more = shape.pure === undefined ? {} : { pure: shape.pure };
  const nodes = Array.from({ length: shape.steps }, (_, i) => ({ ...step(`s${i}`), ...more }));
  const edges = shape.edges.map(([from, to]) => ({ from: `s${from}`, to: `s${to}` }));
  const settings = shape.fusion === undefined ? {} : { settings: { fusion: shape.fusion } };
  return { name: `bench-${shape.name}`, nodes, edges, ...settings };
}

/** The same with its number of steps. */
export function workOf(shape: Shape): Work {
  return { document: documentOf(shape), steps: shape.steps };
}

function step(id: string, more: object = {}): object {
  return { id, type: "function", config: { function_name: STEP_FUNCTION, ...more } };
}

/** Ten steps, one after the other, each of which names the run's input and what the first has left. */
export function told(): Work {
  const input = { order: "${input.order}", first: "${ctx.s0.output.value}" };
  const nodes = Array.from({ length: 10 }, (_, i) => step(`s${i}`, i === 0 ? {} : { input }));
  const edges = nodes.slice(1).map((_, i) => ({ from: `s${i}`, to: `s${i + 1}` }));
  return { document: { name: "bench-told10", nodes, edges }, input: { order: 7 }, steps: 10 };
}

/** A fan whose join has an input of its own; undefined: it gets all outputs. */
export function joinOf(width: number, input: object | undefined): Work {
  const { steps, edges } = fan(width);
  const last = `s${steps - 1}`;
  const nodes = Array.from({ length: steps - 1 }, (_, i) => step(`s${i}`));
  const all = edges.map(([from, to]) => ({ from: `s${from}`, to: `s${to}` }));
  const name = `bench-join${width}${input === undefined ? "" : "-own"}`;
  const join = step(last, input === undefined ? {} : { input });
  return { document: { name, nodes: [...nodes, join], edges: all }, steps };
}

/** Eight nodes, of which two die with an edge that is not taken: six steps. */
export function branchy(): Work {
  const nodes = Array.from({ length: 8 }, (_, i) => step(`s${i}`));
  const taken = 'output.status == "done"';
  const edges = [
    { from: "s0", to: "s1", condition: taken },
    { from: "s0", to: "s2", condition: `!(${taken})` },
    { from: "s1", to: "s3" },
    { from: "s2", to: "s3" },
    { from: "s3", to: "s4", condition: taken },
    { from: "s3", to: "s5", condition: `!(${taken})` },
    { from: "s4", to: "s6" },
    { from: "s5", to: "s6" },
    { from: "s6", to: "s7" },
  ];
  return { document: { name: "bench-branchy", nodes, edges }, steps: 6 };
}

/** A step per element of a list of `n`: what a document cannot write down as branches. */
export function mapOf(n: number): Work {
  const body = { type: "function", config: { function_name: STEP_FUNCTION } };
  const nodes = [{ id: "all", type: "map", config: { items: "input.items", do: body } }];
  const document = { name: `bench-map${n}`, nodes, edges: [] };
  return { document, input: { items: Array.from({ length: n }, (_, i) => i) }, steps: n };
}

/** A loop of `n` rounds of two steps, one of them its latch. */
export function loopOf(n: number): Work {
  const config = {
    function_name: STEP_FUNCTION,
    ...{ condition: `iteration < ${n}`, loop_back_to: "head", max_iterations: n },
  };
  const nodes = [step("head"), { id: "latch", type: "loop", config }];
  const edges = [{ from: "head", to: "latch" }];
  return { document: { name: `bench-loop${n}`, nodes, edges }, steps: 2 * n };
}

/** What a busy deployment may look like: short and wide, long and branched, taking turns. */
export function mixed(): Work[] {
  return [workOf(chain(10)), workOf(fan(2)), workOf(fan(50)), branchy(), workOf(chain(1))];
}

/** A run that waits: nothing but a delay of `ms`. */
export function parkedDocument(ms: number): object {
  const nodes = [{ id: "wait", type: "delay", config: { delay_ms: ms } }];
  return { name: "bench-parked", nodes, edges: [] };
}

/** A step that keeps its place in the worker for `ms`, and needs nothing of the machine. */
export function holder(ms: number): Work {
  const config = { function_name: HOLD_FUNCTION, params: { ms } };
  const nodes = [{ id: "hold", type: "function", config }];
  return { document: { name: `bench-holder-${ms}`, nodes, edges: [] }, steps: 1 };
}

/** A step, a delay of `ms`, a step. */
export function sleeper(ms: number): Work {
  const nodes = [step("s0"), { id: "wait", type: "delay", config: { delay_ms: ms } }, step("s1")];
  const edges = [
    { from: "s0", to: "wait" },
    { from: "wait", to: "s1" },
  ];
  return { document: { name: `bench-sleeper-${ms}`, nodes, edges }, steps: 3 };
}

/** Waits for the signal `go`, then `n` steps. */
export function signalled(n: number): object {
  const wait = { id: "wait", type: "wait", config: { signal: "go" } };
  const steps = Array.from({ length: n }, (_, i) => step(`s${i}`));
  const edges = steps.map((_, i) => ({ from: i === 0 ? "wait" : `s${i - 1}`, to: `s${i}` }));
  return { name: `bench-signalled${n}`, nodes: [wait, ...steps], edges };
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
