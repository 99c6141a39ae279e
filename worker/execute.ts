/**
 * From a ready token to the item that settles it: what its node is executed with, and what becomes of
 * how that ended: a result (results.ts), a retry, a wait.
 *
 * Handlers that answer at once are settled without a promise in between; most engine time is spent
 * here, so the path of a plain success allocates little.
 */
import { randomBytes } from "node:crypto";
import type { Vars } from "../condition/index.ts";
import type { IrRetry, Json } from "../compiler/ir.ts";
import {
  answerOf,
  type CompletionItem,
  inputOf,
  varsOf,
  type WaitAnswer,
  waitToken,
} from "../sdk/internal.ts";
import type { Ahead } from "./ahead.ts";
import { backoffMs, holdableMs } from "./backoff.ts";
import { delayOf } from "./kinds/delay.ts";
import { errorValue, resolveInput, toExecutionError, type ExecutionError } from "./kinds/kind.ts";
import { fittingInput, fittingOutput } from "./kinds/schemas.ts";
import { answered, isWaiting, waitOf } from "./kinds/wait.ts";
import type { MapResults } from "./maps.ts";
import { finalError } from "./may-retry.ts";
import { takesInput, type Prepared } from "./prepared.ts";
import { itemOf, resultOf, Results } from "./results.ts";

export interface ExecuteOptions {
  /** Named in the journal. */
  workerId: string;
  /** Secrets for http and the like, resolved at the moment of use. */
  secrets: () => { [name: string]: string };
  random: () => number;
  /** Draws the secret of a wait's address: at least 8 characters of base64url. */
  secret?: () => string;
  outputBytesMax: number;
  /** Calls pure functions in the step before them; absent: nobody does. */
  ahead?: Pick<Ahead, "call">;
}

/**
 * Values of a park: by who was resumed in this attempt before, so not a late repetition of the first;
 * and of one that asks for everything anew when its time comes.
 */
const PARK_AGAIN = "again";
const PARK_HELD = "held";

export interface Begun {
  vars: Vars;
  input: Json;
  settled: CompletionItem | null;
}

/** Kinds that are not executed but begun, by themselves or in beginnings.ts. */
const WAITS: ReadonlySet<string> = new Set(["delay", "wait", "human", "map", "subworkflow"]);

const SECRET_BYTES = 12;

/** Settles tokens of one worker. */
export class Executor {
  readonly #options: ExecuteOptions;
  readonly #results: Results;

  constructor(options: ExecuteOptions) {
    this.#options = options;
    this.#results = new Results(options);
  }

  /**
   * What a token's node is executed with; `settled` if it is settled without being executed: a
   * skip to spread, a delay that begins or is over. `nowMs` is Redis' time, for delays until a
   * time of day. Throws what the node's config throws; `vars` are then empty.
   */
  begin(p: Prepared, nowMs: number): Begun {
    const { token, node } = p;
    if (token.kind === "skip") {
      return { vars: {}, input: null, settled: this.spread(p) };
    }
    const data = takesInput(node, token) ? inputOf(p, node) : null;
    const full = varsOf(p, token.node, node, data);
    const answer = token.answer === null ? null : answerOf(token.answer, p.data);
    // What somebody decided by hand holds, also for a node whose config cannot be evaluated.
    const input = answer?.kind === "manual" ? data : resolveInput(node, full, data);
    const vars = input === data ? full : { ...full, data: input };
    // How a child ended has yet to be read: see children.ts.
    const isOpen = answer === null || answer.kind === "child";
    // A node of another kind is looked at when it is executed; what has waited was, before.
    const isNew = token.kind === "run" && answer === null && WAITS.has(node.type);
    const wrong = isNew ? misfitOf(() => fittingInput(node, input)) : null;
    if (wrong !== null) {
      return { vars, input, settled: this.fail(p, vars, wrong, 0) };
    }
    const settled = isOpen
      ? this.#withoutWork(p, vars, input, nowMs)
      : this.#answer(p, vars, answer);
    return { vars, input, settled };
  }

  /** The item of a token that waits or has waited; null: the node is to be executed. */
  #withoutWork(p: Prepared, vars: Vars, input: Json, nowMs: number): CompletionItem | null {
    const { token, node } = p;
    if (isWaiting(node)) {
      return this.#await(p, vars);
    }
    if (node.type !== "delay") {
      return null;
    }
    return token.kind === "run"
      ? this.park(p, holdableMs(delayOf(node, vars, nowMs)))
      : this.#fitting(p, vars, input);
  }

  /** An item that settles a success whose output has yet to be looked at. */
  #fitting(p: Prepared, vars: Vars, output: Json): CompletionItem {
    const wrong = misfitOf(() => fittingOutput(p.node, output));
    return wrong === null ? this.succeed(p, vars, output, 0) : this.fail(p, vars, wrong, 0);
  }

  /** An item that settles a success, with the pure nodes after it. */
  succeed(p: Prepared, vars: Vars, output: Json, ms: number): CompletionItem {
    const item = itemOf(p);
    const { node, attempt } = p.token;
    this.#results.succeed(p, item, node, attempt, vars, output, this.#results.extra(ms));
    return item;
  }

  /** An item that settles a map whose elements have ended. */
  collected(p: Prepared, vars: Vars, results: MapResults, ms: number): CompletionItem {
    const { output } = results;
    const errors = results.errors as unknown as Json | undefined;
    let failed: string | null;
    try {
      fittingOutput(p.node, output);
      const what = "the map's list of failed elements";
      failed = errors === undefined ? null : this.#results.text(errors, what);
    } catch (error) {
      return this.fail(p, vars, toExecutionError(error), ms);
    }
    const item = itemOf(p);
    const { node, attempt } = p.token;
    if (errors !== undefined) {
      p.data.keep(node, output, errors);
    }
    this.#results.succeed(p, item, node, attempt, vars, output, this.#results.extra(ms));
    // Of a map without elements there is nothing to keep.
    if (failed !== null && p.token.kind === "gather") {
      this.#results.addErrors(item, failed);
    }
    return item;
  }

  /** An item that settles a failed attempt: retried if allowed, else final. */
  fail(p: Prepared, vars: Vars, error: ExecutionError, ms: number): CompletionItem {
    const item = itemOf(p);
    const { retry } = p.node;
    const { attempt } = p.token;
    const final = finalError(retry, error, attempt);
    if (final === null) {
      const delayMs = this.#delayOf(retry, error, attempt);
      const value = JSON.stringify(errorValue(error, p.node.id, attempt));
      const base = { ...resultOf(p, p.token.node), extra: this.#results.extra(ms) };
      item.results.push({ ...base, op: "R", value, delayMs });
    } else {
      this.#results.fail(
        p,
        item,
        p.token.node,
        p.token.attempt,
        vars,
        final,
        this.#results.extra(ms),
      );
    }
    return item;
  }

  #delayOf(retry: IrRetry, { retryAfterMs: asked }: ExecutionError, attempt: number): number {
    // What is asked for comes from a handler or a server.
    return asked === undefined || !Number.isFinite(asked)
      ? backoffMs(retry, attempt, this.#options.random())
      : holdableMs(asked);
  }

  /**
   * An item that parks the token for `delayMs`; `rate`: until its start under this limit, also when
   * it was parked and resumed in this attempt before.
   */
  park(p: Prepared, delayMs: number, rate?: string): CompletionItem {
    const extra = rate === undefined ? "" : `,"rate":${JSON.stringify(rate)}`;
    return parked(p, delayMs, p.token.kind === "resumed" ? PARK_AGAIN : "", extra);
  }

  /** An item that parks the token because this circuit is open; then it begins anew. */
  hold(p: Prepared, delayMs: number, circuit: string): CompletionItem {
    return parked(p, delayMs, PARK_HELD, `,"circuit":${JSON.stringify(circuit)}`);
  }

  /** An item that parks the token until it is answered, for the node's timeout at most. */
  #await(p: Prepared, vars: Vars): CompletionItem {
    const { token, node } = p;
    const secret = this.#options.secret?.() ?? randomBytes(SECRET_BYTES).toString("base64url");
    const wait = waitOf(node, vars, waitToken(token.unit, token.node, secret));
    const item = itemOf(p);
    const delayMs = holdableMs(node.timeout_ms ?? 0);
    item.results.push({ ...resultOf(p, token.node), op: "W", delayMs, wait });
    return item;
  }

  /** An item that settles a token whose wait is over. */
  #answer(p: Prepared, vars: Vars, answer: WaitAnswer): CompletionItem {
    let output;
    try {
      output = answered(p.node, answer);
    } catch (error) {
      return this.fail(p, vars, toExecutionError(error), 0);
    }
    // What somebody decided by hand holds whatever the schema says.
    const isByHand = answer.kind === "manual";
    return isByHand ? this.succeed(p, vars, output, 0) : this.#fitting(p, vars, output);
  }

  /** An item that spreads a skipped join's dead region. Nothing of the run is read for it. */
  spread(p: Prepared): CompletionItem {
    const item = itemOf(p);
    const value = p.token.skipValue ?? "D";
    const plan = p.profile.planner.spread(p.token.node, p.token.scope, value);
    item.results.push({ ...resultOf(p, p.token.node), op: "S", value, plan });
    return item;
  }
}

function parked(p: Prepared, delayMs: number, value: string, extra: string): CompletionItem {
  const item = itemOf(p);
  item.results.push({ ...resultOf(p, p.token.node), op: "P", value, delayMs, extra });
  return item;
}

/** Why a value does not fit; null: it does. */
function misfitOf(check: () => unknown): ExecutionError | null {
  try {
    check();
    return null;
  } catch (error) {
    return toExecutionError(error);
  }
}
