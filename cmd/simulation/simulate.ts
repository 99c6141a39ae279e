/**
 * One simulated run, or many of them with other interleavings: the reference interpreter on a
 * virtual clock. Nothing here is the engine: what a simulation says is what the workflow means.
 */
import type { Ir, Json } from "../../compiler/index.ts";
import { interpret, seededNumbers, seededOrder } from "../../compiler/reference/index.ts";
import type { InterpretResult, Scheduler } from "../../compiler/reference/index.ts";
import { VirtualClock, type TimedStep } from "./clock.ts";
import { simulatedHandlers } from "./handlers.ts";
import type { Mocks } from "./mocks.ts";

export interface Simulation extends InterpretResult {
  /** Virtual ms from start to end. */
  ms: number;
  steps: TimedStep[];
  /** Ids of the nodes that were executed, in the order of their ends. */
  path: string[];
  coverage: Coverage;
}

export interface Coverage {
  edges: { from: string; to: string; condition: string | null; taken: boolean }[];
  nodes: { id: string; executed: boolean }[];
}

export interface SimulateOptions {
  mocks: Mocks;
  /** For durations that are ranges. */
  seed: number;
  /** What `subworkflow` nodes run. */
  workflows?: { [ref: string]: Ir };
}

/** Simulates one run; the input is taken as valid. */
export function simulate(ir: Ir, input: Json, options: SimulateOptions): Simulation {
  const clock = new VirtualClock(ir, options.mocks, seededNumbers(options.seed));
  const result = run(ir, input, options, clock.order);
  const path = clock.steps.map(({ node }) => node);
  return { ...result, ms: clock.nowMs, steps: clock.steps, path, coverage: coverageOf(ir, result) };
}

function run(
  ir: Ir,
  input: Json,
  { mocks, workflows = {} }: SimulateOptions,
  order: Scheduler,
): InterpretResult {
  const { signals, decisions } = mocks;
  const handlers = simulatedHandlers(mocks);
  return interpret(ir, input, { handlers, order, signals, decisions, workflows });
}

/** Which edges of the workflow itself were taken at least once. */
function coverageOf(ir: Ir, { trace, nodes }: InterpretResult): Coverage {
  const taken = new Set<string>();
  for (const { home = "", node, edges = [] } of trace) {
    edges.forEach(({ to, value }, place) => {
      if (home === "" && value === "live") taken.add(`${node ?? ""} ${to} ${place}`);
    });
  }
  return {
    edges: ir.nodes.flatMap((node) =>
      node.out.map((index, place) => {
        const edge = ir.edges[index];
        const to = ir.nodes[edge?.to ?? -1]?.id ?? "";
        const isTaken = taken.has(`${node.id} ${to} ${place}`);
        return { from: node.id, to, condition: edge?.condition ?? null, taken: isTaken };
      }),
    ),
    nodes: ir.nodes
      .filter((node) => node.synthetic !== true)
      .map(({ id }) => ({ id, executed: (nodes[id]?.activations ?? 0) > 0 })),
  };
}

export interface Outcome {
  status: string;
  output: Json;
  error: string | null;
  /** How many interleavings ended so. */
  count: number;
  /** The order in which nodes ended in the first of them. */
  path: string[];
}

export interface Interleavings {
  outcomes: Outcome[];
  tried: number;
  /** All there are were tried. */
  isComplete: boolean;
}

const ALL_MAX = 5000;

/** Tries other orders of what could happen at the same time: all, or `count` by the seed. */
export function interleave(
  ir: Ir,
  input: Json,
  options: SimulateOptions,
  count: number | "all",
): Interleavings {
  const outcomes = new Map<string, Outcome>();
  const note = (result: InterpretResult, path: string[]): void => {
    const error =
      result.error === undefined ? null : `${result.error.code}: ${result.error.message}`;
    const { status, output } = result;
    const key = JSON.stringify([status, output, error]);
    const known = outcomes.get(key);
    outcomes.set(key, known ?? { status, output, error, count: 0, path });
    (outcomes.get(key) as Outcome).count += 1;
  };
  const told =
    (order: Scheduler, path: string[]): Scheduler =>
    (ready) => {
      const at = order(ready);
      path.push(ready[at]?.node ?? "");
      return at;
    };
  if (count !== "all") {
    for (let i = 0; i < count; i++) {
      const path: string[] = [];
      note(run(ir, input, options, told(seededOrder(options.seed + i), path)), path);
    }
    return { outcomes: [...outcomes.values()], tried: count, isComplete: false };
  }
  // Depth first over the choices: each run follows `next` as far as it goes, and then the first.
  let next: number[] | null = [];
  let tried = 0;
  while (next !== null && tried < ALL_MAX) {
    const [choices, widths, path]: [number[], number[], string[]] = [[], [], []];
    const given = next;
    const order: Scheduler = (ready) => {
      const at = given[choices.length] ?? 0;
      choices.push(at);
      widths.push(ready.length);
      return at;
    };
    note(run(ir, input, options, told(order, path)), path);
    tried += 1;
    next = following(choices, widths);
  }
  return { outcomes: [...outcomes.values()], tried, isComplete: next === null };
}

/** The next sequence of choices in order; null after the last. */
function following(choices: readonly number[], widths: readonly number[]): number[] | null {
  for (let i = choices.length - 1; i >= 0; i--) {
    if ((choices[i] ?? 0) + 1 < (widths[i] ?? 0)) {
      return [...choices.slice(0, i), (choices[i] ?? 0) + 1];
    }
  }
  return null;
}
