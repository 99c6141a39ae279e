/**
 * What a user's module is made of: functions with names.
 *
 * A module is loaded by another copy of this package than the one that runs it (a global command
 * and a local dependency, a bundled file), so nothing here is recognised by `instanceof`: a function
 * by its mark, an error by its `code`.
 */
import type { Json } from "../compiler/ir.ts";

export type JsonObject = { [key: string]: Json };

/** Writes one line: a message, or fields and a message (`log.info({ rows: 12 }, "fetched")`). */
export interface FunctionLogLine {
  (message: string): void;
  (fields: object, message?: string): void;
}

/** Where a handler writes what it wants to be read in the log. */
export interface FunctionLog {
  debug: FunctionLogLine;
  info: FunctionLogLine;
  warn: FunctionLogLine;
  error: FunctionLogLine;
}

/** What a handler is told about the execution that it is. It may change its params and its input. */
export interface FunctionContext<Params = JsonObject, Input = Json> {
  /** `config.params` with its templates filled in; `{}` if the node gives none. */
  params: Params;
  /** The node's own input. */
  input: Input;
  runId: string;
  /** Id of the node in the workflow file. */
  node: string;
  /** Round of the loops around the node, "" outside of loops. */
  scope: string;
  /** From 1; rises with each retry. */
  attempt: number;
  /** Round of the innermost loop, from 1. */
  iteration?: number;
  /**
   * The same on every retry and every repeated delivery of this step: hand it to whatever must not
   * happen twice (a payment, a mail). `run/node/scope`.
   */
  idempotencyKey: string;
  /** Aborted on a timeout, a cancelled run, or a lost lease: stop then, the result is discarded. */
  signal: AbortSignal;
  log: FunctionLog;
}

/**
 * Does the work of a node and returns its output: JSON, or undefined, which becomes null. What it
 * throws fails the attempt: with the error's own string `code` (else HANDLER_ERROR), and for good if
 * the error has `retryable: false`.
 */
export type FunctionHandler<Params = JsonObject, Input = Json> = (
  context: FunctionContext<Params, Input>,
) => unknown;

/** The mark of a defined function, readable across copies of this package. */
export const FUNCTION_MARK = "gavotte.function";

export interface FunctionDefinition {
  readonly mark: typeof FUNCTION_MARK;
  readonly name: string;
  readonly handler: FunctionHandler;
}

/** Function names are queue names too, hence the narrow alphabet; the compiler has the same. */
const NAME = /^[A-Za-z0-9_.:/@-]{1,200}$/;

/**
 * Give a handler the name that workflows call it by (`config.function_name`). Export the result from
 * the module. `Params` and `Input` describe what the workflow sends; they are not checked.
 * Throws TypeError if the name or handler cannot be one.
 */
export function defineFunction<Params = JsonObject, Input = Json>(
  name: string,
  handler: FunctionHandler<Params, Input>,
): FunctionDefinition {
  if (!NAME.test(name)) {
    throw new TypeError(
      `"${name}" cannot be a function's name: use letters, digits and _ . : / @ - ` +
        "(200 at most)",
    );
  }
  if (name.startsWith("builtin.")) {
    throw new TypeError(`"${name}": names that begin with "builtin." belong to the engine`);
  }
  if (typeof handler !== "function") {
    throw new TypeError(`defineFunction("${name}", …) needs a function as its second argument`);
  }
  // The author says what the workflow sends; nobody can check it before it is there.
  return { mark: FUNCTION_MARK, name, handler: handler as unknown as FunctionHandler };
}

/** Whether a value is the result of `defineFunction`, of whichever copy of this package. */
export function isFunctionDefinition(value: unknown): value is FunctionDefinition {
  if (typeof value !== "object" || value === null) return false;
  const candidate = value as Partial<FunctionDefinition>;
  return (
    candidate.mark === FUNCTION_MARK &&
    typeof candidate.name === "string" &&
    typeof candidate.handler === "function"
  );
}

/**
 * Thrown by a handler: try this step again after `delayMs`, instead of the node's own backoff. Less
 * than 0 is at once; what is not finite throws a RangeError.
 */
export class RetryLater extends Error {
  readonly code = "RETRY_LATER";
  readonly delayMs: number;

  constructor(delayMs: number, message = `asked to be tried again after ${delayMs} ms`) {
    if (!Number.isFinite(delayMs)) {
      throw new RangeError(`RetryLater takes a number of milliseconds, and got ${delayMs}`);
    }
    super(message);
    this.name = "RetryLater";
    this.delayMs = delayMs;
  }
}

/** Thrown by a handler: end the whole run as failed, whatever error edges and retries there are. */
export class FailRun extends Error {
  readonly code = "FAIL_RUN";
  readonly retryable = false;

  constructor(reason: string) {
    super(reason);
    this.name = "FailRun";
  }
}
