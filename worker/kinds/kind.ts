/**
 * The contract between the worker and the node kinds.
 *
 * A kind turns a node and its input into an output. Pure kinds are synchronous functions, because
 * the worker evaluates them inside the step that completes the node before; the others get a context
 * and may take their time. Neither knows Redis, queues or retries: a kind that cannot do its work
 * throws an ExecutionError, and the worker decides what becomes of it.
 */
import type { IrNode, Json } from "../../compiler/ir.ts";
import { compileTemplate, EvaluationError } from "../../condition/index.ts";
import type { Template, Vars } from "../../condition/index.ts";
import { BlobError, type FunctionHandler, type FunctionLog } from "../../sdk/internal.ts";
import type { HttpClient } from "./http-client.ts";
import { isChosen, placesOf, whatWasThrown } from "./thrown.ts";

export type { Json } from "../../compiler/ir.ts";
export type { Vars } from "../../condition/index.ts";

/** Where function nodes find their handlers; see worker/registry.ts. */
export interface FunctionLookup {
  get(name: string): FunctionHandler | undefined;
  names(): string[];
}

/** Everything about one execution that is not in the node. */
export interface KindContext {
  /** What expressions see; `data` is the node's input. `secrets` are added by the kinds that may. */
  vars: Vars;
  /** The node's input, after resolveInput. */
  data: Json;
  /** `data` was read for this execution alone: nobody reads it after a handler has changed it. */
  ownsData?: boolean;
  runId: string;
  scope: string;
  /** From 1. */
  attempt: number;
  iteration?: number;
  signal: AbortSignal;
  registry: FunctionLookup;
  http: HttpClient;
  /** Asked only by kinds that may read secrets, and only if the node's config does. */
  secrets: () => { [name: string]: string };
  log: FunctionLog;
}

export interface ExecutionErrorOptions {
  /** False: the same attempt would fail in the same way. Default true. */
  retryable?: boolean;
  details?: { [key: string]: Json };
  /** Wait this long before the next attempt, instead of the node's backoff. */
  retryAfterMs?: number;
  /** The run fails with this error, whatever edges the node has. */
  failsRun?: boolean;
  cause?: unknown;
}

/** Why an execution failed, with what the worker needs to know to go on. */
export class ExecutionError extends Error {
  override readonly name = "ExecutionError";
  readonly code: string;
  readonly retryable: boolean;
  readonly details: { [key: string]: Json } | undefined;
  readonly retryAfterMs: number | undefined;
  readonly failsRun: boolean;

  constructor(code: string, message: string, options: ExecutionErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? true;
    this.details = options.details;
    this.retryAfterMs = options.retryAfterMs;
    this.failsRun = options.failsRun ?? false;
  }
}

/** The caller's mistake: wrong config or data, which another attempt does not mend. */
export function badInput(node: IrNode, what: string, cause?: unknown): ExecutionError {
  return new ExecutionError("BAD_INPUT", `node "${node.id}" (${node.type}): ${what}`, {
    retryable: false,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Longest message of an error that is kept; a handler may put a whole response into one. */
const MESSAGE_LENGTH_MAX = 2000;

/**
 * Whatever an execution threw, as an ExecutionError. After an abort the reason of the abort counts
 * and not how the kind gave up: the worker aborts with an ExecutionError (TIMEOUT, CANCELLED).
 */
export function toExecutionError(thrown: unknown, signal?: AbortSignal): ExecutionError {
  if (signal?.aborted === true) return abortError(signal.reason);
  if (thrown instanceof ExecutionError) return thrown;
  const error = (typeof thrown === "object" ? thrown : null) as {
    code?: unknown;
    name?: unknown;
    message?: unknown;
    retryable?: unknown;
    delayMs?: unknown;
    stack?: unknown;
    syscall?: unknown;
  } | null;
  const text = typeof error?.message === "string" ? error.message : whatWasThrown(thrown);
  const message = text.length > MESSAGE_LENGTH_MAX ? `${text.slice(0, MESSAGE_LENGTH_MAX)}…` : text;
  const code = typeof error?.code === "string" && error.code !== "" ? error.code : "HANDLER_ERROR";
  const failsRun = code === "FAIL_RUN" || error?.name === "FailRun";
  const later = code === "RETRY_LATER" || error?.name === "RetryLater";
  const stack = isChosen(error) || failsRun || later ? [] : placesOf(error);
  return new ExecutionError(code, message, {
    ...(stack.length === 0 ? {} : { details: { stack } }),
    retryable: error?.retryable !== false && !failsRun,
    failsRun,
    cause: thrown,
    ...(later && Number.isFinite(error?.delayMs) ? { retryAfterMs: error?.delayMs as number } : {}),
  });
}

/**
 * An error of what is read or written for a node before, or instead of, its execution: as the node's
 * failure, if another try would end in the same way; else null.
 */
export function failureBefore(thrown: unknown): ExecutionError | null {
  const isOfNode = thrown instanceof ExecutionError || thrown instanceof BlobError;
  return isOfNode ? toExecutionError(thrown) : null;
}

function abortError(reason: unknown): ExecutionError {
  if (reason instanceof ExecutionError) return reason;
  const name = (reason as { name?: unknown } | null)?.name;
  return name === "TimeoutError"
    ? new ExecutionError("TIMEOUT", "the node ran longer than its timeout")
    : new ExecutionError("CANCELLED", "the execution was stopped", { retryable: false });
}

/** The value sent along error and timeout edges, and `output` in their conditions. */
export function errorValue(error: ExecutionError, node: string, attempts: number): Json {
  const { code, message, details } = error;
  const more = details === undefined ? {} : { details };
  return { error: { code, message, node, attempts, ...more } };
}

/** Evaluate a piece of config; a failure names the node and the piece. */
export function fill(node: IrNode, what: string, template: Evaluable, vars: Vars): Json {
  try {
    return template.evaluate(vars);
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
    throw badInput(node, `${what}${error.pointer ?? ""}: ${error.message}`, error);
  }
}

interface Evaluable {
  evaluate(vars: Vars): Json;
}

/**
 * A cache of what was compiled from a node, as long as the node lives. IR documents are shared and
 * immutable, so a node object is as good a key as its text, and free.
 */
export function perNode<T>(make: (node: IrNode) => T): (node: IrNode) => T {
  const made = new WeakMap<IrNode, T>();
  return (node) => {
    let value = made.get(node);
    if (value === undefined) {
      value = make(node);
      made.set(node, value);
    }
    return value;
  };
}

/** null: the node has no `config.input`. */
const inputTemplate = perNode<{ template: Template | null }>((node) => {
  const source = node.config["input"];
  return { template: source === undefined ? null : compileTemplate(source) };
});

/**
 * Whether a node that begins is executed with what its predecessors left. Not where `config.input`
 * replaces that and does not name it: a join of thousands then need not wait until it is read.
 */
export const takesData = perNode((node): boolean => {
  try {
    const { template } = inputTemplate(node);
    return template === null || template.references.some(({ path }) => path[0] === "data");
  } catch {
    return true; // whoever executes the node is told why
  }
});

/**
 * The node's input: `config.input` filled in if there is one, else the data it was fired with. Whoever
 * executes a node does this first, once, and hands the result on as `data` and `vars.data`.
 */
export function resolveInput(node: IrNode, vars: Vars, data: Json): Json {
  const { template } = inputTemplate(node);
  return template === null ? data : fill(node, "config.input", template, { ...vars, data });
}
