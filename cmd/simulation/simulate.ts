/**
 * One simulated run: the reference interpreter on a stage with virtual time. Nothing here is the
 * engine: what a simulation says is what the workflow means.
 */
import type { Ir, Json } from "../../compiler/index.ts";
import { interpretOn } from "../../compiler/reference/index.ts";
import type {
  Decision,
  HandlerTable,
  InterpretResult,
  Signal,
  Start,
} from "../../compiler/reference/index.ts";
import { coverageOf, type Coverage } from "./coverage.ts";
import { durationOf, simulatedHandlers } from "./handlers.ts";
import type { Limits } from "./limits.ts";
import { MockBook, type ChildFiles } from "./mock-book.ts";
import type { ForChild, Mocks } from "./mocks.ts";
import { SimulatedStage, type StageOptions, type TimedStep } from "./stage.ts";

export interface Simulation extends InterpretResult {
  /** Virtual ms from start to end. */
  ms: number;
  /** Executions, in the order of their ends, those in child runs too. */
  steps: TimedStep[];
  /** Ids of the nodes that were executed, in the order of their ends. */
  path: string[];
  coverage: Coverage;
}

/** Workers and limits; without them there is a worker for everything. */
export type Capacity = Pick<StageOptions, "workers"> & { limits?: Limits };

export interface SimulateOptions {
  mocks: Mocks;
  /** For durations and failures that are drawn. */
  seed: number;
  /** Child workflows that are simulated, by their names in the mocks. */
  files?: ChildFiles;
  capacity?: Capacity;
  /** Instead of at the entries. */
  start?: Start;
  /** Epoch ms at which the run begins, unless the mocks say; for delays until a moment. */
  nowMs?: number;
}

/** Simulates one run; the input is taken as valid. Throws StepLimitError if it does not end. */
export function simulate(ir: Ir, input: Json, options: SimulateOptions): Simulation {
  const { seed, capacity = {}, start } = options;
  const scene = sceneOf(ir, options);
  const steps: TimedStep[] = [];
  const stage = new SimulatedStage({
    ...capacity,
    queueOf: (node) => scene.book.queueOf(node),
    isBehind: (node, isFirst) => scene.book.isBehind(node, isFirst),
    durationOf: (work) => durationOf(work, scene.book, { seed, nowMs: scene.nowMs }),
    ended: (step, work) => {
      if (work.isWanted() && work.node.synthetic !== true) steps.push(step);
    },
  });
  const run = interpretOn(stage, ir, input, {
    ...runOptions(scene, RUN_ID),
    ...(start === undefined ? {} : { start }),
  });
  while (!run.isOver && stage.advance());
  const ms = stage.now;
  const result = run.result();
  return { ...result, ms, steps, path: pathOf(ir, result), coverage: coverageOf(ir, result) };
}

/** The `run.id` of a single simulated run; its child runs begin with it. */
export const RUN_ID = "simulated";

/** What the runs of a simulation share. */
export interface Scene {
  book: MockBook;
  handlers: HandlerTable;
  nowMs: number;
}

/** What is needed to play a workflow with its mocks. */
export function sceneOf(ir: Ir, { mocks, files, seed, nowMs: given = 0 }: SimulateOptions): Scene {
  const book = new MockBook(ir, mocks, files);
  const nowMs = mocks.nowMs ?? given;
  return { book, handlers: simulatedHandlers(book, { seed, nowMs }), nowMs };
}

/** The interpreter's options of one run. */
export function runOptions({ book, handlers }: Scene, runId: string): RunOptions {
  const { signals, decisions } = book.mocks;
  const addressed = <T>({ child, ...rest }: ForChild<T>): T =>
    ({ ...rest, ...(child === undefined ? {} : { run: `${runId}.${child}` }) }) as T;
  return {
    ...{ runId, handlers, workflows: book.workflows },
    signals: signals.map((signal) => addressed<Signal>(signal)),
    decisions: decisions.map((decision) => addressed<Decision>(decision)),
  };
}

export interface RunOptions {
  runId: string;
  handlers: HandlerTable;
  workflows: { [ref: string]: Ir };
  signals: Signal[];
  decisions: Decision[];
}

/** The ends of nodes in their order, without those that the compiler made. */
export function pathOf(ir: Ir, { trace }: Pick<InterpretResult, "trace">): string[] {
  const hidden = syntheticIds(ir);
  return trace.flatMap(({ event, node = "" }) =>
    (event === "node.completed" || event === "node.failed") && !hidden.has(node) ? [node] : [],
  );
}

/** Ids of nodes that the compiler made. */
export function syntheticIds(ir: Ir): Set<string> {
  const own = ir.nodes.filter(({ synthetic }) => synthetic === true).map(({ id }) => id);
  const inside = ir.nodes.flatMap(({ body }) => (body ? [...syntheticIds(body)] : []));
  return new Set([...own, ...inside]);
}
