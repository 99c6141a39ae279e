/** What goes into the reference interpreter and what comes out of it. */
import type { Vars } from "../../condition/index.ts";
import type { Ir, IrNode, Json } from "../ir.ts";
import type { Calendar } from "./agenda.ts";

/** What a node kind learns about the execution that it is asked for. */
export interface HandlerContext {
  /** The run's input. */
  input: Json;
  /** The node's own input, `config.input` applied. */
  data: Json;
  /** What the expressions of the node's config see. */
  vars: Vars;
  /** From 1. */
  attempt: number;
  /** Round of the innermost loop around the node, from 1. */
  iteration?: number;
  /** `<latch node index>:<round>` per loop around the node, joined by `/`; "" at top level. */
  scope: string;
  /** The element that the node is in: scopes and `<map node index>#<index>`; "" in none. */
  home: string;
}

export interface HandlerError {
  /** Of `TIMEOUT`, whoever says it, the node's `timeout` edges are candidates. */
  code: string;
  message: string;
  /** False: another attempt would fail in the same way. Default true. */
  retryable?: boolean;
  /** What `retry.condition` sees as `error.details`. */
  details?: { [key: string]: Json };
}

export type HandlerResult = { output: Json } | { error: HandlerError };

/** What somebody makes of a token by hand: its result, or as below. */
export type ByHand =
  | HandlerResult
  /** As if no edge had led to it. */
  | "skip"
  /** Another attempt at once. */
  | "retry";

/**
 * The node kinds: everything that a node does by itself. Must not change what it is given. Not asked
 * for `map`, `subworkflow`, `wait` and `human`: these are the interpreter's.
 */
export interface HandlerTable {
  evaluate(node: IrNode, context: HandlerContext): HandlerResult;
  /** Whether it is asked for a node all the same whose kind is the interpreter's. Default: no. */
  standsFor?(node: IrNode): boolean;
  /**
   * Why a value does not fit a JSON Schema, or null: for schemas of nodes that are not evaluated.
   * Without it these are not looked at.
   */
  misfit?: (schema: Json, value: Json) => string | null;
}

/** A token that may be executed next. */
export interface ReadyToken {
  readonly node: string;
  readonly scope: string;
  readonly attempt: number;
  /** As in HandlerContext. */
  readonly home: string;
  /** How long it rests before its work: back-off without jitter, the pause between rounds. */
  readonly restMs?: number;
}

/** One attempt that is to be made on a stage. */
export interface Work {
  /** Id of the run, or of the child run, that it belongs to. */
  run: string;
  node: IrNode;
  token: ReadyToken;
  /** What its handler will be told. */
  context(): HandlerContext;
  /** False: its round, element or run is over, and its end will change nothing. */
  isWanted(): boolean;
  /** To be called when it is done, but not from within `perform`. `instead`: of its own result. */
  end(instead?: HandlerResult): void;
}

/** Where runs take place in time: a clock, and those who do the work. */
export interface Stage extends Calendar {
  perform(work: Work): void;
}

/** Where a run begins that does not begin at its entries; see start-at.ts. By node ids. */
export interface Start {
  at: readonly string[];
  /** Inputs of nodes that begin. Without: what the outputs given before one make, or the run's. */
  inputs?: { [node: string]: Json };
  /** Outputs of nodes that count as completed. */
  outputs?: { [node: string]: Json };
}

/** A signal to the run: goes to the oldest token that waits for its name, or is kept. */
export interface Signal {
  name: string;
  value: Json;
  /** To a child run: the `run.id` that its expressions see. Default: the run itself. */
  run?: string;
  /** When it comes, see `InterpretOptions.signals`. */
  at?: number;
}

/** What somebody says to an approval: to the oldest token of the node that waits, or nobody. */
export interface Decision {
  node: string;
  by: string;
  approved: boolean;
  data?: Json;
  run?: string;
  at?: number;
  /** Instead of `at`: milliseconds after it is asked for; then it is given once, to the first. */
  after?: number;
}

/**
 * Picks the next token: its index in `ready`, which is in order of readiness and never empty; or,
 * counted on from there, in `waiting`, if somebody settles that one by hand.
 */
export type Scheduler = (ready: readonly ReadyToken[], waiting: readonly ReadyToken[]) => number;

export interface InterpretOptions {
  handlers: HandlerTable;
  /** Default: first come, first served. */
  order?: Scheduler;
  /** Asked for the token that was picked; undefined: nobody settles it by hand. */
  byHand?(token: ReadyToken): ByHand | undefined;
  /**
   * A map whose elements are done with becomes ready once more, and goes on when it is picked.
   * Default: it goes on at once.
   */
  collects?: boolean;
  /** `run.id` for expressions. */
  runId?: string;
  /** For the kinds whose config may read them (http, llm, emit). */
  secrets?: { [name: string]: string };
  /**
   * `at` is a time on a clock that stands still as long as anything can be executed: work takes no
   * time, only waiting does. Default 0: before the run begins.
   */
  signals?: readonly Signal[];
  decisions?: readonly Decision[];
  /** What `subworkflow` nodes run, by their `config.workflow`. */
  workflows?: { [ref: string]: Ir };
  /** Instead of at the entries. */
  start?: Start;
  /** Executions after which the run is cancelled. */
  cancelAfter?: number;
  /** Executions, retries included, after which StepLimitError is thrown. Default 100,000. */
  maxSteps?: number;
}

export interface ReferenceError {
  code: string;
  message: string;
  node?: string;
  scope?: string;
  attempts?: number;
  details?: { [key: string]: Json };
}

/** Of the node's last activation; a node that the run never reached is `pending`. */
export interface NodeResult {
  status: "pending" | "waiting" | "completed" | "failed" | "skipped" | "cancelled";
  /** How often it was activated: rounds of a loop count, retries do not. */
  activations: number;
  /** Attempts of the last activation. */
  attempts: number;
  output?: Json;
  error?: ReferenceError;
}

export type EdgeValue = "live" | "dead" | "failed";

/** One thing that happened; the words are those of the journal. */
export interface TraceStep {
  event:
    | "node.activated"
    | "node.completed"
    | "node.failed"
    | "node.retrying"
    | "node.parked"
    | "node.resumed"
    | "node.skipped"
    | "node.voided"
    | "join.decided"
    | "loop.round"
    | "loop.ended"
    | "map.expanded"
    | "run.completed"
    | "run.failed"
    | "run.cancelled"
    | "run.waiting";
  node?: string;
  scope?: string;
  /** In an element of a map. */
  home?: string;
  attempt?: number;
  /** Elements of a map. */
  count?: number;
  /** What was sent on the out-edges, by target, in the order of the edges. */
  edges?: { to: string; value: EdgeValue }[];
  /** What the in-edges of a decided join had brought by then, in their order; null: nothing yet. */
  arrivals?: (EdgeValue | null)[];
  outcome?: "fired" | "skipped" | "failed";
  output?: Json;
  error?: ReferenceError;
  /** On a stage: milliseconds since the run began. */
  at?: number;
}

export interface InterpretResult {
  /** WAITING: somebody has to answer who does not, and no time limit ends it. */
  status: "COMPLETED" | "FAILED" | "CANCELLED" | "WAITING";
  /** null unless the run completed. */
  output: Json;
  error?: ReferenceError;
  /** Nodes whose failure no edge handled, in topological order. */
  failed_nodes: string[];
  nodes: { [id: string]: NodeResult };
  /** Nodes of the bodies of maps, by the home of each element that was begun. */
  elements: { [home: string]: { [id: string]: NodeResult } };
  trace: TraceStep[];
}

/** The run did not end within `maxSteps`. */
export class StepLimitError extends Error {
  override readonly name = "StepLimitError";
}
