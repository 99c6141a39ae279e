/**
 * The intermediate representation: what the compiler hands to everybody else.
 *
 * Plain JSON, canonical (same workflow, same bytes, same SHA-256) and complete: whatever can be
 * known before a run starts is written here, so that the hot path looks things up by index and
 * never searches. Nodes stand in topological order (a loop's back edge is not an edge); `from`,
 * `to`, `in`, `out`, `refs`, loop members are indexes into these arrays.
 *
 * This file is the only part of the compiler that the sdk and the workers may import.
 */

export const IR_VERSION = 1;

/** Longest time that anything waits or is given, ms: 100 years. Dates and columns hold its end. */
export const DURATION_MS_MAX = 3_155_760_000_000;

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export type NodeType =
  | "function"
  | "http"
  | "llm"
  | "conditional"
  | "parallel"
  | "transform"
  | "filter"
  | "aggregate"
  | "loop"
  | "map"
  | "subworkflow"
  | "delay"
  | "wait"
  | "human"
  | "emit";

export type Priority = "high" | "normal" | "low";

/**
 * When an out-edge is a candidate. `exhausted` is the edge of a loop's `timeout_path`: taken when
 * the rounds are used up and the condition still holds. The others are the words of the file.
 */
export type EdgeOn = "success" | "error" | "timeout" | "always" | "exhausted";

export interface Ir {
  version: typeof IR_VERSION;
  name: string;
  /** The author's version of the workflow, "" if the file has none. */
  workflow_version: string;
  input_schema: Json | null;
  /** Template of the run's output, `undefined` when the file has none (see 25: run output). */
  output?: Json;
  settings: IrSettings;
  nodes: IrNode[];
  edges: IrEdge[];
  /** Outer loops before the loops inside them. */
  loops: IrLoop[];
  /** Queue names of the nodes, sorted and distinct up to `behind`; `IrNode.queue` is an index. */
  queues: string[];
  /**
   * With `settings.order`: from here on `queues` has names for a second time, for tokens that stand
   * behind the others of their queue, with the first tokens of new runs.
   */
  behind?: number;
  analysis: IrAnalysis;
}

export interface IrSettings {
  /** A run older than this fails with RUN_TIMED_OUT; null: no limit. */
  timeout_ms: number | null;
  priority: Priority;
  failure: "fail_fast" | "continue";
  /** Which steps of a run go first; absent: they go as they become ready. */
  order?: "critical_path";
  /** False: every node goes through its queue, even where one worker could go on by itself. */
  fusion?: false;
  /** How many runs of one key may be in progress. */
  concurrency?: IrConcurrency;
  /** How many runs of one key may start in a time. */
  rate_limit?: IrRateLimit;
  /** So many failed attempts without a success in between pause the run. */
  pause_after_errors?: number;
}

export interface IrConcurrency {
  /** Template over `input` and `run`; what it gives is told apart as text. "": all runs. */
  key: string;
  limit: number;
  /** What becomes of a run that is one too many. */
  on_conflict: "queue" | "reject" | "cancel_running";
}

export interface IrRateLimit {
  /** Template; of a node over what its config sees, of the workflow over `input` and `run`. */
  key: string;
  /** At most so many in `per_ms`. */
  limit: number;
  per_ms: number;
}

export interface IrCircuitBreaker {
  /** Template; "": the node itself, in every run of its workflow. */
  key: string;
  /** So many failed executions within `within_ms` open it. */
  failures: number;
  within_ms: number;
  /** How long it stays open before one execution is let through to try. */
  open_ms: number;
  /** What becomes of a token while it is open: it waits, or fails with CIRCUIT_OPEN. */
  on_open: "wait" | "fail";
}

export interface IrRetry {
  max_attempts: number;
  backoff_ms: number;
  backoff_multiplier: number;
  max_backoff_ms: number;
  /** Share of the delay that is random, 0.2 means plus or minus 20 %. */
  jitter: number;
  /** Error codes that are worth another attempt; absent: all that the handler does not rule out. */
  on?: string[];
  /** Error codes that are not. */
  not_on?: string[];
  /** CEL on `error` ({code, message, details}) and `attempt`: false means no other attempt. */
  condition?: string;
}

/** What undoes a completed node when its run fails; see `compensate` in the file format. */
export interface IrCompensation {
  function_name: string;
  /** Template; its names are those of the node's own config, and `output`, the node's output. */
  params?: Json;
  queue: string;
}

export interface IrJoin {
  kind: "all" | "any" | "count";
  /** Live arrivals that fire it: 0 for `all` (it waits for every in-edge), 1 for `any`, n. */
  need: number;
  /** Number of forward in-edges. A join proper has arity 2 or more. */
  arity: number;
  /**
   * Nodes that lead nowhere but to this join, ascending, those of whole loops among them: what is open
   * there when it fires is cancelled. Nothing begins there later. Absent: losers go on.
   */
  losers?: number[];
}

/**
 * `first` and `all` belong to a `conditional` node or one with `branch`: they demand a match (see
 * `on_no_match`). `each` is every other node: an edge decides for itself and none may hold.
 */
export type Routing = "first" | "all" | "each";

export interface IrNode {
  id: string;
  type: NodeType;
  /** Index into `Ir.queues`. */
  queue: number;
  /** Config of the node kind, normalised, templates (`${…}`) still in place as strings. */
  config: { [key: string]: Json };
  /** No work outside the process: evaluated without a handler. */
  pure: boolean;
  /** A function that only computes: called more than once, or for nothing, it does no harm. */
  pure_function?: true;
  /** Pure, one in-edge, same scope as its predecessor, no retry, not an entry, head or latch. */
  fusible: boolean;
  /** The same for a pure function: a worker that has it may call it in its predecessor's step. */
  ahead?: true;
  is_entry: boolean;
  /** Has no out-edges: its completion may end a run. */
  is_terminal: boolean;
  join: IrJoin;
  /** Forward in-edges, ascending by edge: a join's arrival position is the place in here. */
  in: number[];
  /** Out-edges in file order. */
  out: number[];
  /** Innermost loop (index into `Ir.loops`) whose body this node is in, head and latch too. */
  loop: number | null;
  /** The loop whose latch this node is. */
  latch_of: number | null;
  /** Loops whose head this node is, outermost first. */
  head_of: number[];
  retry: IrRetry;
  timeout_ms: number | null;
  /** Which live out-edges are taken: the first that holds, all that hold, or each for itself. */
  routing: Routing;
  /** What becomes of a `first` or `all` node when nothing holds and it has no default. */
  on_no_match: "error" | "skip";
  /**
   * Made by the compiler to split a wide fan or join; it has no place in what people see. Whoever
   * builds a node's input looks through it to the node that the author wrote.
   */
  synthetic?: true;
  /**
   * The node some of whose out-edges this synthetic one has, if any of them has a condition: they are
   * decided there, with all others (see `decidedEdges`), and here once more for those it hands on.
   */
  part_of?: number;
  /** Reuse the output of an earlier execution with equal input, for `ttl_ms` (null: for ever). */
  cache?: { ttl_ms: number | null };
  /**
   * The first node of a straight chain that this node is in: one worker may run the chain's nodes
   * one after the other without their queue. A mark, see compiler/passes/mark-chains.ts.
   */
  chain?: number;
  /** Runs in no run at all: it can only be skipped. A mark. */
  never?: true;
  /** A node before it that makes the same request, whose answer does for both. A mark. */
  same_as?: number;
  /** JSON Schemas of what the node takes and of what it puts out; absent: anything. */
  input_schema?: Json;
  output_schema?: Json;
  /** How long the node usually takes: the order of steps rests on it, and nothing else. */
  expected_ms?: number;
  /** Longest time a token of this node may stand in its queue; then it fails with TIMEOUT. */
  queue_timeout_ms?: number;
  /** Business status that the run has from the node's success on, until another sets one. */
  sets_status?: string;
  /** How many executions of one key may begin in a time. */
  rate_limit?: IrRateLimit;
  /** When executions of one key are held back because too many have failed. */
  circuit_breaker?: IrCircuitBreaker;
  compensate?: IrCompensation;
  /**
   * Of a `map`: the graph that runs once per element, an IR of its own with nodes from 0. Ids are
   * unique in the whole file. Its entries get the element as their input, and its `output` (or the
   * rule for runs without one) makes the element's result.
   */
  body?: Ir;
  /**
   * Of a `map`: nodes of this IR whose outputs the body reads, ascending; those that bodies inside
   * the body read are among them. What they read of IRs further out is with the maps out there.
   */
  outer_refs?: number[];
  /** Other nodes whose outputs this node's config reads (`ctx.<id>.output`), ascending. */
  refs: number[];
  /** Other nodes whose outputs the conditions of its out-edges and loop read, ascending. */
  edge_refs: number[];
  /** Whether config, edge conditions or loop condition read `input`, the run's input. */
  uses_input: boolean;
  /** Whether these, or the body of a map, may read `run.attempt`: also as a part of `run`. */
  uses_attempt?: true;
}

export interface IrEdge {
  from: number;
  to: number;
  on: EdgeOn;
  /** CEL; null: always holds (for a `conditional` in first-match mode: the default). */
  condition: string | null;
}

/** An edge that a node decides, and its own out-edge over which that one is reached. */
export interface DecidedEdge {
  /** Index into `Ir.edges`. */
  edge: number;
  on: EdgeOn;
  /** Place in the node's `out`. */
  place: number;
}

/**
 * The edges that the author drew from a node, those of one `on` in their order. Where a node has
 * too many for one step the compiler has put parts of them behind nodes of its own; whether a
 * condition can be evaluated, whether any holds and whether a failure is handled is the node's to
 * know, and not theirs. An out-edge to such a part is live if one of the edges there is.
 */
export function decidedEdges(ir: Ir, node: IrNode): DecidedEdge[] {
  const found: DecidedEdge[] = [];
  const add = (edge: number, on: EdgeOn, place: number): void => {
    const to = ir.nodes[ir.edges[edge]?.to ?? -1];
    if (to?.part_of === undefined) found.push({ edge, on, place });
    else for (const inner of to.out) add(inner, on, place);
  };
  node.out.forEach((edge, place) => add(edge, ir.edges[edge]?.on ?? "success", place));
  return found;
}

/** What an edge is called in messages: by the node it leads to, unless the compiler has made that. */
export function edgeName(ir: Ir, edge: number): string {
  let to = ir.nodes[ir.edges[edge]?.to ?? -1];
  while (to?.synthetic === true && to.out.length === 1) {
    to = ir.nodes[ir.edges[to.out[0] ?? -1]?.to ?? -1];
  }
  return to === undefined || to.synthetic === true ? "an edge" : `edge to "${to.id}"`;
}

/** What a loop's condition is called in messages. */
export const LOOP_NAME = "loop";

/** Whether a node's own input is the run's (in a body the element): an entry, in a wide graph too. */
export function isFedByRun(ir: Ir, node: IrNode): boolean {
  if (node.is_entry) return true;
  const before = ir.nodes[ir.edges[node.in[0] ?? -1]?.from ?? -1];
  return node.in.length === 1 && before?.synthetic === true && before.is_entry;
}

/**
 * In the config of a `transform` whose `expression` is a string with `${` in it: whether that is
 * "cel" or a "template". Absent in IRs that were made before it was: a template.
 */
export const EXPRESSION_FORM = "expression_form";

export interface IrLoop {
  /** First node of a round. */
  head: number;
  /** The loop node: decides on another round. Scope elements carry its index: `<latch>:<round>`. */
  latch: number;
  /** Nodes of the body, head and latch included, ascending. */
  body: number[];
  /** Index of the enclosing loop. */
  parent: number | null;
  max_iterations: number;
  /** CEL: true means another round. */
  condition: string;
  /** Pause between two rounds. */
  delay_ms: number;
}

export interface IrAnalysis {
  roots: number[];
  leaves: number[];
  branch_points: number[];
  convergence_points: number[];
  /** Nodes by depth: index of the level, then nodes. */
  levels: number[][];
  /** Nodes on the longest path. */
  critical_path: number[];
  /** Exact number of entry-to-terminal paths as a decimal string (it may exceed 2^53). */
  path_count: string;
  /** Upper bound of tokens in flight at one time. */
  tokens_max: number;
}

/** `value` as an IR that this version can run. Throws an Error that says what it is instead. */
export function assertIr(value: unknown): Ir {
  const ir = typeof value === "object" && value !== null ? (value as Partial<Ir>) : {};
  if (ir.version !== IR_VERSION) {
    const found = ir.version === undefined ? "no IR" : `IR version ${String(ir.version)}`;
    const remedy = "compile the workflow again";
    throw new Error(`${found}, this program reads IR version ${IR_VERSION}: ${remedy}`);
  }
  for (const part of [ir.nodes, ir.edges, ir.loops, ir.queues]) {
    if (!Array.isArray(part)) throw new Error("the IR is damaged: compile the workflow again");
  }
  return ir as Ir;
}
