/**
 * Executes the node of one token and reports how it went: at once when the handler answers at once,
 * later when it returned a promise or has a timeout running.
 */
import type { Logger } from "pino";
import type { Vars } from "../condition/index.ts";
import { isFedByRun, type Json } from "../compiler/ir.ts";
import { longTimer, parseUnit, scopeJoin } from "../sdk/internal.ts";
import type { Prepared } from "./prepared.ts";
import { ExecutionError, toExecutionError, type KindContext } from "./kinds/kind.ts";
import type { HttpClient } from "./kinds/http-client.ts";
import { executeKind } from "./kinds/index.ts";
import type { LazyAbort } from "./lazy-abort.ts";
import type { FunctionRegistry } from "./registry.ts";

export interface RunKindOptions {
  registry: FunctionRegistry;
  http: HttpClient;
  secrets: () => { [name: string]: string };
  logger: Logger;
}

export type Outcome = { output: Json } | { error: ExecutionError };

/** One execution. A class, because an accessor in a literal is made anew with every object. */
export class Call implements KindContext {
  readonly vars: Vars;
  readonly data: Json;
  readonly ownsData: boolean;
  readonly runId: string;
  readonly scope: string;
  readonly attempt: number;
  declare readonly iteration?: number;
  readonly #options: RunKindOptions;
  readonly #abort: LazyAbort;

  constructor(
    options: RunKindOptions,
    { token }: Pick<Prepared, "token">,
    attempt: number,
    vars: Vars,
    data: Json,
    abort: LazyAbort,
    ownsData: boolean,
  ) {
    const { runId, unit, scope } = token;
    this.vars = vars;
    this.data = data;
    this.ownsData = ownsData;
    this.runId = runId;
    this.scope = unit === runId ? scope : scopeJoin(parseUnit(unit).home, scope);
    this.attempt = attempt;
    if (vars.iteration !== undefined) {
      this.iteration = vars.iteration;
    }
    this.#options = options;
    this.#abort = abort;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get registry(): FunctionRegistry {
    return this.#options.registry;
  }

  get http(): HttpClient {
    return this.#options.http;
  }

  get secrets(): () => { [name: string]: string } {
    return this.#options.secrets;
  }

  get log(): Logger {
    return this.#options.logger;
  }
}

/**
 * Runs the node with this input. `abort` ends it from outside (lost lease, shutdown); a node timeout
 * ends it from inside. Returns the outcome if the handler answered at once; else null, and `later`
 * is called exactly once.
 */
export function runKind(
  options: RunKindOptions,
  p: Prepared,
  vars: Vars,
  data: Json,
  abort: LazyAbort,
  later: (outcome: Outcome) => void,
): Outcome | null {
  const { node } = p;
  const context = new Call(options, p, p.token.attempt, vars, data, abort, ownsData(p));
  let result: Json | Promise<Json>;
  try {
    result = executeKind(node, context);
  } catch (error) {
    return { error: toExecutionError(error, abort.signal) };
  }
  if (!(result instanceof Promise)) {
    return { output: result };
  }
  settleLater(result, node.timeout_ms, abort, later);
  return null;
}

/**
 * Whether a token's input was parsed for it alone: not made of what else it reads, nor the run's input
 * or a map's item, and not to be read again for the key of its limit.
 */
function ownsData({ node, token, profile }: Prepared): boolean {
  const isMade = node.config["input"] !== undefined || node.rate_limit !== undefined;
  return !isMade && (token.payload !== null || !isFedByRun(profile.ir, node));
}

function settleLater(
  result: Promise<Json>,
  timeoutMs: number | null,
  abort: LazyAbort,
  done: (outcome: Outcome) => void,
): void {
  let isDone = false;
  const once = (outcome: Outcome): void => {
    if (!isDone) {
      isDone = true;
      timer?.clear();
      done(outcome);
    }
  };
  // The handler is told by its signal, and not waited for: its late answer changes nothing.
  abort.onAbort(() => {
    once({ error: toExecutionError(abort.signal.reason, abort.signal) });
  });
  const timer =
    timeoutMs === null
      ? undefined
      : longTimer(timeoutMs, () => {
          const message = `the node ran longer than its timeout_ms (${timeoutMs})`;
          abort.abort(new ExecutionError("TIMEOUT", message));
        });
  result.then(
    (output) => once({ output }),
    (error: unknown) => once({ error: toExecutionError(error, abort.signal) }),
  );
}
