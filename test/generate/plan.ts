/**
 * Plans: trees of blocks from which valid workflows are made (render.ts).
 *
 * A plan says nothing about ids and edges, so any part of it can be cut out or made smaller and it
 * is still the plan of a valid workflow. That is what makes fast-check's shrinking work.
 */
import fc from "fast-check";

export interface GenerateOptions {
  /** `any` and `count` joins, also at heads and latches: results depend on the order. */
  anyJoins?: boolean;
  /** Of these, every other one cancels its losers, where it can. */
  cancels?: boolean;
  /**
   * Retries, error and always edges that merge back, conditions that cannot be evaluated. Without
   * `handledOnly` also failures that nothing handles: under fail-fast these are races.
   */
  failures?: boolean;
  /** Every failure has an edge that handles it. */
  handledOnly?: boolean;
  loops?: boolean;
  /** `settings.failure: "continue"`. */
  continue?: boolean;
  /** `settings.order: "critical_path"`. */
  ordered?: boolean;
  /**
   * Maps, in one another and in loops, with loops in their bodies. With `failures` also elements
   * that fail: as many as are tolerated, or one at a time, so that there is no race.
   */
  maps?: boolean;
  /** Nodes that take time: `builtin.sleep` and delays of some milliseconds. */
  waits?: boolean;
  /** Of the functions, which all only compute, every other one is said to be pure. */
  pure?: boolean;
  /** Nodes, more or less. Default 40. */
  maxNodes?: number;
}

export const TASK_SHAPES = [
  ...(["params", "counter", "echo", "add", "values", "parallel", "cel", "template"] as const),
  ...(["identity", "normalize", "list", "aggregate", "override", "delay", "sleep"] as const),
  ...(["retry", "fail"] as const),
] as const;

export type TaskShape = (typeof TASK_SHAPES)[number];

export interface JoinPlan {
  kind: "all" | "any" | "count";
  /** Becomes a count from 1 to the number of in-edges; odd: it may cancel its losers. */
  pick: number;
}

export interface TaskPlan {
  shape: TaskShape;
  /** A number for the config, 0 to 6. */
  k: number;
  /** Which node upstream is read. */
  pick: number;
  join: JoinPlan;
}

export interface CondPlan {
  about: "n" | "count" | "ctx" | "round" | "size";
  k: number;
  pick: number;
  negate: boolean;
}

export interface BranchArm {
  cond: CondPlan;
  block: Block | null;
}

export type Block =
  | { kind: "task"; task: TaskPlan; guard: CondPlan | null }
  | { kind: "seq"; blocks: Block[] }
  | FanPlan
  | BranchPlan
  | TryPlan
  | LoopPlan
  | MapPlan;

export interface FanPlan {
  kind: "fan";
  head: TaskPlan;
  branches: { guard: CondPlan | null; block: Block | null }[];
  /** Null: whatever comes next is the join. */
  merge: TaskPlan | null;
  /** 0: a branch that ends there, where that is allowed. */
  drop: number;
}

export interface BranchPlan {
  kind: "branch";
  /** `rules`: the property `branch` of a function node. */
  form: "first" | "all" | "rules";
  head: TaskPlan;
  arms: BranchArm[];
  hasDefault: boolean;
  fallback: Block | null;
}

export interface TryPlan {
  kind: "try";
  task: TaskPlan;
  /** `broken`: a condition of the success edge cannot be evaluated. */
  fails: "always" | "sometimes" | "broken";
  attempts: number;
  on: "error" | "always" | "both";
  handler: Block | null;
  guard: CondPlan | null;
}

export interface LoopPlan {
  kind: "loop";
  /** Null: the latch is its own head. */
  body: Block | null;
  latch: TaskPlan;
  form: "loop" | "property";
  cond: "iteration" | "count" | "ctx" | "always" | "never";
  k: number;
  rounds: number;
  /** What is on the timeout path, if there is one. */
  exhausted: { block: Block | null } | null;
  drawn: boolean;
  guard: CondPlan | null;
}

export interface MapPlan {
  kind: "map";
  /** `data`: what comes over its in-edges, if that is small. */
  items: "input" | "literal" | "data" | "none";
  k: number;
  /** Null: the body is one node. */
  body: Block | null;
  /** Begins with the body, unless elements fail: one that has failed has nothing else in progress. */
  beside: Block | null;
  task: TaskPlan;
  /** 0: no limit. */
  window: number;
  /** Elements that fail: none, some that are tolerated, some of which one is too many. */
  fails: "no" | "tolerated" | "too many";
  /** What becomes of the map's failure. */
  handler: Block | null;
  hasOutput: boolean;
}

export interface WorkflowPlan {
  entries: Block[];
  /** Where all entries come together; null: they stay apart. */
  tail: Block | null;
  output: { picks: number[] } | null;
}

/** Plans of workflows; see GenerateOptions. */
export function planArbitrary(options: GenerateOptions): fc.Arbitrary<WorkflowPlan> {
  const { block } = fc.letrec<{ block: Block }>((tie) => ({
    block: blockArbitrary(tie("block"), options),
  }));
  return fc.record({
    entries: fc.array(block, { minLength: 1, maxLength: 3, size: "small" }),
    tail: fc.option(block),
    output: fc.option(fc.record({ picks: fc.array(fc.nat(40), { minLength: 1, maxLength: 3 }) })),
  });
}

function blockArbitrary(block: fc.Arbitrary<Block>, options: GenerateOptions): fc.Arbitrary<Block> {
  const task = taskArbitrary(options);
  const leaf = fc.record({ kind: fc.constant("task" as const), task, guard: guard() });
  const inner: fc.WeightedArbitrary<Block>[] = [
    { weight: 3, arbitrary: leaf },
    { weight: 3, arbitrary: seqArbitrary(block) },
    { weight: 3, arbitrary: fanArbitrary(block, task) },
    { weight: 2, arbitrary: branchArbitrary(block, task) },
  ];
  if (options.failures) inner.push({ weight: 2, arbitrary: tryArbitrary(block, task) });
  if (options.loops) inner.push({ weight: 3, arbitrary: loopArbitrary(block, task) });
  if (options.maps) inner.push({ weight: 3, arbitrary: mapArbitrary(block, task, options) });
  const [first, ...others] = inner;
  if (!first) return leaf;
  return fc.oneof({ maxDepth: 4, depthSize: "medium", withCrossShrink: true }, first, ...others);
}

function seqArbitrary(block: fc.Arbitrary<Block>): fc.Arbitrary<Block> {
  const blocks = fc.array(block, { minLength: 2, maxLength: 3, size: "max" });
  return fc.record({ kind: fc.constant("seq" as const), blocks });
}

function fanArbitrary(
  block: fc.Arbitrary<Block>,
  task: fc.Arbitrary<TaskPlan>,
): fc.Arbitrary<FanPlan> {
  const branch = fc.record({ guard: guard(), block: fc.option(block) });
  return fc.record({
    kind: fc.constant("fan" as const),
    head: task,
    branches: fc.array(branch, { minLength: 2, maxLength: 4, size: "max" }),
    merge: fc.option(task),
    drop: fc.nat(3),
  });
}

function branchArbitrary(
  block: fc.Arbitrary<Block>,
  task: fc.Arbitrary<TaskPlan>,
): fc.Arbitrary<BranchPlan> {
  const arm = fc.record({ cond: condArbitrary(), block: fc.option(block) });
  return fc.record({
    kind: fc.constant("branch" as const),
    form: fc.constantFrom("first", "all", "rules"),
    head: task,
    arms: fc.array(arm, { minLength: 1, maxLength: 3, size: "max" }),
    hasDefault: fc.constantFrom(true, true, true, true, false),
    fallback: fc.option(block),
  });
}

function tryArbitrary(
  block: fc.Arbitrary<Block>,
  task: fc.Arbitrary<TaskPlan>,
): fc.Arbitrary<TryPlan> {
  return fc.record({
    kind: fc.constant("try" as const),
    task,
    fails: fc.constantFrom("always", "sometimes", "broken"),
    attempts: fc.integer({ min: 1, max: 3 }),
    on: fc.constantFrom("error", "always", "both"),
    handler: fc.option(block),
    guard: guard(),
  });
}

function loopArbitrary(
  block: fc.Arbitrary<Block>,
  task: fc.Arbitrary<TaskPlan>,
): fc.Arbitrary<LoopPlan> {
  return fc.record({
    kind: fc.constant("loop" as const),
    body: fc.option(block),
    latch: task,
    form: fc.constantFrom("loop", "property"),
    cond: fc.constantFrom("iteration", "iteration", "ctx", "count", "always", "never"),
    k: fc.nat(5),
    rounds: fc.constantFrom(3, 2, 4, 1),
    exhausted: fc.option(fc.record({ block: fc.option(block) })),
    drawn: fc.boolean(),
    guard: guard(),
  });
}

function mapArbitrary(
  block: fc.Arbitrary<Block>,
  task: fc.Arbitrary<TaskPlan>,
  options: GenerateOptions,
): fc.Arbitrary<MapPlan> {
  const fails = options.failures
    ? fc.constantFrom("no" as const, "tolerated" as const, "too many" as const)
    : fc.constant("no" as const);
  return fc.record({
    kind: fc.constant("map" as const),
    items: fc.constantFrom("input", "input", "literal", "data", "none"),
    k: fc.nat(6),
    body: fc.option(block),
    beside: fc.option(block, { freq: 3 }),
    task,
    window: fc.nat(3),
    fails,
    handler: fc.option(block),
    hasOutput: fc.boolean(),
  });
}

function taskArbitrary(options: GenerateOptions): fc.Arbitrary<TaskPlan> {
  const unhandled = options.failures === true && options.handledOnly !== true;
  const left = new Set<TaskShape>([
    ...(options.failures ? [] : (["retry"] as const)),
    ...(unhandled ? [] : (["fail"] as const)),
    ...(options.waits ? [] : (["delay", "sleep"] as const)),
  ]);
  const shapes = TASK_SHAPES.filter((shape) => !left.has(shape));
  const kinds = options.anyJoins ? (["all", "any", "any", "count"] as const) : (["all"] as const);
  return fc
    .record({
      shape: fc.constantFrom(...shapes),
      k: fc.nat(6),
      pick: fc.nat(9),
      join: fc.record({ kind: fc.constantFrom(...kinds), pick: fc.nat(5) }),
    })
    .map((task) => (task.shape === "fail" && options.continue ? { ...task, k: task.k % 2 } : task));
}

/** Mostly none: where much is guarded, most of a workflow is skipped. */
function guard(): fc.Arbitrary<CondPlan | null> {
  const none = fc.constant(null);
  return fc.oneof({ weight: 6, arbitrary: none }, { weight: 1, arbitrary: condArbitrary() });
}

function condArbitrary(): fc.Arbitrary<CondPlan> {
  return fc.record({
    about: fc.constantFrom("n", "count", "ctx", "round", "size"),
    k: fc.nat(6),
    pick: fc.nat(9),
    negate: fc.boolean(),
  });
}
