/**
 * From a ready token to the item that settles it: run the node, decide its edges, evaluate the pure
 * nodes that follow in the same step (20 §6, 21 A10).
 *
 * Handlers that answer at once are settled without a promise in between; most engine time is spent
 * here, so the path of a plain success allocates little.
 */
import { randomBytes } from "node:crypto";
import type { Vars } from "../condition/index.ts";
import type { IrNode, Json } from "../compiler/ir.ts";
import {
  blobRefOf,
  blobText,
  isBlobSized,
  parseUnit,
  NO_EFFECTS,
  roundOf,
  runEpoch,
  waitToken,
  type CompletionItem,
  type CompletionResult,
  type ReadyToken,
  type RunProfile,
  type WaitAnswer,
} from "../sdk/internal.ts";
import { backoffMs } from "./backoff.ts";
import { decideFailure, decideSuccess, plainEdges } from "./decide.ts";
import type { MapResults } from "./maps.ts";
import type { RunData } from "./run-data.ts";
import { delayOf } from "./kinds/delay.ts";
import { finalError } from "./may-retry.ts";
import { errorValue, ExecutionError, resolveInput, toExecutionError } from "./kinds/kind.ts";
import { evaluatePure } from "./kinds/pure.ts";
import { fittingInput, fittingOutput } from "./kinds/schemas.ts";
import { answered, isWaiting, waitOf } from "./kinds/wait.ts";

export interface ExecuteOptions {
  /** Named in the journal. */
  workerId: string;
  /** Secrets for http and the like, resolved at the moment of use. */
  secrets: () => { [name: string]: string };
  random: () => number;
  /** Draws the secret of a wait's address: at least 8 characters of base64url. */
  secret?: () => string;
  outputBytesMax: number;
}

/** Value of a park by who was resumed in this attempt before: not a late repetition of the first. */
const PARK_AGAIN = "again";

/** A token with what has been read for it. */
export interface Prepared {
  token: ReadyToken;
  profile: RunProfile;
  node: IrNode;
  data: RunData;
}

export interface Begun {
  vars: Vars;
  input: Json;
  settled: CompletionItem | null;
}

/** Kinds that are not executed but begun, by themselves or in beginnings.ts. */
const WAITS: ReadonlySet<string> = new Set(["delay", "wait", "human", "map", "subworkflow"]);

const SECRET_BYTES = 12;
const FUSED_MAX = 64;
const FUSED_BYTES_MAX = 256 * 1024;

/** Settles tokens of one worker. */
export class Executor {
  readonly #options: ExecuteOptions;
  /** How the journal names this worker. */
  readonly #worker: string;

  constructor(options: ExecuteOptions) {
    this.#options = options;
    this.#worker = `,"w":"${options.workerId}"`;
  }

  /**
   * What a token's node is executed with; `settled` if it is settled without being executed: a
   * skip to spread, a delay that begins or is over. `nowMs` is the wall clock, for delays until a
   * time of day. Throws what the node's config throws; `vars` are then empty.
   */
  begin(p: Prepared, nowMs: number): Begun {
    const { token, node } = p;
    if (token.kind === "skip") {
      return { vars: {}, input: null, settled: this.spread(p) };
    }
    const data = this.input(p, node);
    const full = this.vars(p, token.node, node, data);
    const answer = token.answer === null ? null : (JSON.parse(token.answer) as WaitAnswer);
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
      : this.answer(p, vars, answer);
    return { vars, input, settled };
  }

  /** The item of a token that waits or has waited; null: the node is to be executed. */
  #withoutWork(p: Prepared, vars: Vars, input: Json, nowMs: number): CompletionItem | null {
    const { token, node } = p;
    if (isWaiting(node)) {
      return this.await(p, vars);
    }
    if (node.type !== "delay") {
      return null;
    }
    return token.kind === "run"
      ? this.park(p, delayOf(node, vars, nowMs))
      : this.#fitting(p, vars, input);
  }

  /** An item that settles a success whose output has yet to be looked at. */
  #fitting(p: Prepared, vars: Vars, output: Json): CompletionItem {
    const wrong = misfitOf(() => fittingOutput(p.node, output));
    return wrong === null ? this.succeed(p, vars, output, 0) : this.fail(p, vars, wrong, 0);
  }

  /** What the expressions of a node see before it runs. */
  vars(p: Prepared, nodeIndex: number, node: IrNode, input: Json): Vars {
    const { root } = p.profile;
    const { outside } = p.data;
    const vars: Vars = {
      data: input,
      ctx: p.data.context(nodeIndex, p.token.scope, node.refs),
      run: {
        id: p.token.runId,
        workflow: root.name,
        version: root.workflow_version,
        attempt: Number(runEpoch(p.token.epoch)),
      },
    };
    if (node.uses_input) {
      vars.input = p.data.input();
    }
    const iteration = roundOf(p.token.scope) ?? outside?.vars.iteration;
    if (iteration !== undefined) {
      vars.iteration = iteration;
    }
    if (outside !== null) {
      vars.item = p.data.item();
      vars.index = outside.index;
    }
    return vars;
  }

  /** The node's own input, `config.input` applied. */
  input(p: Prepared, node: IrNode): Json {
    const { token } = p;
    return token.payload !== null && token.kind !== "gather"
      ? p.data.value(token.payload)
      : (p.data.editedInput(token.node, token.scope) ??
          p.data.ownInput(node, token.scope, token.arrivals));
  }

  /** An item that settles a success, with the pure nodes after it. */
  succeed(p: Prepared, vars: Vars, output: Json, ms: number): CompletionItem {
    const item = this.item(p);
    this.#succeed(p, item, p.token.node, p.token.attempt, vars, output, this.#extra(ms));
    return item;
  }

  /** An item that settles a map whose elements have ended. */
  collected(p: Prepared, vars: Vars, results: MapResults, ms: number): CompletionItem {
    const { output, errors } = results;
    const wrong = misfitOf(() => fittingOutput(p.node, output));
    if (wrong !== null) {
      return this.fail(p, vars, wrong, ms);
    }
    const item = this.item(p);
    const { node, attempt } = p.token;
    // Of a map without elements there is nothing to keep.
    const isKept = errors !== undefined && p.token.kind === "gather";
    const errs = isKept ? `,"errs":${JSON.stringify(errors)}` : "";
    if (errors !== undefined) {
      p.data.keep(node, output, errors as unknown as Json);
    }
    this.#succeed(p, item, node, attempt, vars, output, this.#extra(ms) + errs);
    return item;
  }

  /** An item that settles a failed attempt: retried if allowed, else final. */
  fail(p: Prepared, vars: Vars, error: ExecutionError, ms: number): CompletionItem {
    const item = this.item(p);
    const { retry } = p.node;
    const { attempt } = p.token;
    const final = finalError(retry, error, attempt);
    if (final === null) {
      const delayMs = error.retryAfterMs ?? backoffMs(retry, attempt, this.#options.random());
      const value = JSON.stringify(errorValue(error, p.node.id, attempt));
      const base = { ...this.#base(p, p.token.node), extra: this.#extra(ms) };
      item.results.push({ ...base, op: "R", value, delayMs });
    } else {
      this.#fail(p, item, p.token.node, p.token.attempt, vars, final, this.#extra(ms));
    }
    return item;
  }

  /**
   * An item that parks the token for `delayMs`; `rate`: until its start under this limit, also when
   * it was parked and resumed in this attempt before.
   */
  park(p: Prepared, delayMs: number, rate?: string): CompletionItem {
    const item = this.item(p);
    const extra = rate === undefined ? "" : `,"rate":${JSON.stringify(rate)}`;
    const value = p.token.kind === "resumed" ? PARK_AGAIN : "";
    item.results.push({ ...this.#base(p, p.token.node), op: "P", value, delayMs, extra });
    return item;
  }

  /** An item that parks the token until it is answered, for the node's timeout at most. */
  await(p: Prepared, vars: Vars): CompletionItem {
    const { token, node } = p;
    const secret = this.#options.secret?.() ?? randomBytes(SECRET_BYTES).toString("base64url");
    const wait = waitOf(node, vars, waitToken(token.unit, token.node, secret));
    const item = this.item(p);
    const delayMs = node.timeout_ms ?? 0;
    item.results.push({ ...this.#base(p, token.node), op: "W", delayMs, wait });
    return item;
  }

  /** An item that settles a token whose wait is over. */
  answer(p: Prepared, vars: Vars, answer: WaitAnswer): CompletionItem {
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

  /** An item that spreads a skipped join's dead region. */
  spread(p: Prepared): CompletionItem {
    const item = this.item(p);
    const value = p.token.skipValue ?? "D";
    const plan = p.profile.planner.spread(p.token.node, p.token.scope, value);
    item.results.push({ ...this.#base(p, p.token.node), op: "S", value, plan });
    return item;
  }

  /** An item without results: only the entry is acknowledged. */
  item(p: Pick<Prepared, "token" | "profile" | "node">): CompletionItem {
    // Not so an entry node's, and one that asks for an output, which names no node of its own.
    const isOwn = p.token.queueKey === p.profile.queueKeys[p.node.queue];
    const item: CompletionItem = {
      profile: p.profile,
      runId: p.token.unit,
      epoch: p.token.epoch,
      queue: p.node.queue,
      entryId: p.token.entryId,
      results: [],
    };
    if (!isOwn) {
      item.entryKey = p.token.queueKey;
    }
    return item;
  }

  #base(p: Prepared, node: number): CompletionResult {
    const result: CompletionResult = {
      node,
      scope: p.token.scope,
      attempt: node === p.token.node ? p.token.attempt : 1,
      op: "C",
      value: "",
      edges: "",
      extra: "",
      delayMs: 0,
      plan: NO_EFFECTS,
    };
    if (p.token.kind === "gather" && node === p.token.node) {
      result.gathered = true;
    }
    return result;
  }

  #extra(ms: number): string {
    return `,"ms":${ms}${this.#worker}`;
  }

  #succeed(
    p: Prepared,
    item: CompletionItem,
    index: number,
    attempt: number,
    vars: Vars,
    output: Json,
    extra: string,
  ): void {
    const { ir, planner } = p.profile;
    const node = ir.nodes[index] as IrNode;
    const { scope } = p.token;
    let text: string;
    let edges: string | null;
    try {
      text = this.#text(output);
      edges = plainEdges(ir, node);
      if (edges === null) {
        const decision = decideSuccess(ir, node, scope, this.#after(p, index, node, vars, output));
        edges = decision.again ? null : decision.edges;
      }
    } catch (error) {
      this.#fail(p, item, index, attempt, vars, toExecutionError(error), extra);
      return;
    }
    const result = this.#base(p, index);
    result.attempt = attempt;
    result.value = this.#kept(item, text);
    result.extra = extra;
    if (edges === null) {
      result.op = "A";
      result.delayMs = ir.loops[node.latch_of as number]?.delay_ms ?? 0;
      result.plan = planner.again(index, scope);
      item.results.push(result);
      return;
    }
    this.#settle(p, item, result, node, edges, output);
  }

  #fail(
    p: Prepared,
    item: CompletionItem,
    index: number,
    attempt: number,
    vars: Vars,
    error: ExecutionError,
    extra: string,
  ): void {
    const { ir, planner } = p.profile;
    const node = ir.nodes[index] as IrNode;
    let failure = error;
    let edges: string | null = null;
    if (!error.failsRun) {
      try {
        const value = errorValue(failure, node.id, attempt) as Json;
        const timeout = failure.code === "TIMEOUT";
        edges = decideFailure(ir, node, timeout, this.#after(p, index, node, vars, value));
      } catch (second) {
        failure = toExecutionError(second);
      }
    }
    const value = errorValue(failure, node.id, attempt);
    const base = { ...this.#base(p, index), attempt, value: JSON.stringify(value) };
    const dead = `${extra},"dl":1`;
    if (edges !== null) {
      const more = failure.code === "POISON" ? dead : extra;
      this.#settle(p, item, { ...base, op: "F", extra: more }, node, edges, value as Json);
    } else if (ir.settings.failure === "continue" && !error.failsRun) {
      const failed = "X".repeat(node.out.length);
      const plan = planner.end(index, failed, node.latch_of !== null);
      item.results.push({ ...base, op: "U", edges: failed, extra: dead, plan });
    } else {
      item.results.push({ ...base, op: "X", edges: "", extra: dead });
    }
  }

  /** Adds a final result, then evaluates the pure nodes behind its live edges. */
  #settle(
    p: Prepared,
    item: CompletionItem,
    result: CompletionResult,
    node: IrNode,
    edges: string,
    output: Json,
  ): void {
    const { ir, planner } = p.profile;
    const fused: number[] = [];
    let values = edges;
    node.out.forEach((edge, place) => {
      const to = ir.edges[edge]?.to ?? -1;
      if (edges[place] === "L" && ir.nodes[to]?.fusible === true && this.#room(item, fused)) {
        fused.push(to);
        values = `${values.slice(0, place)}F${values.slice(place + 1)}`;
      }
    });
    result.edges = edges;
    result.plan = planner.end(result.node, values, node.latch_of !== null);
    item.results.push(result);
    if (result.op === "C" && fused.length > 0) {
      p.data.keep(result.node, output);
    }
    for (const next of fused) {
      if (item.results.at(-1)?.op === "X") {
        return; // the run has ended with one of them: nothing comes after that
      }
      this.#fuse(p, item, next, output);
    }
  }

  #room(item: CompletionItem, more: readonly number[]): boolean {
    const bytes = item.results.reduce((sum, result) => sum + result.value.length, 0);
    return item.results.length + more.length < FUSED_MAX && bytes < FUSED_BYTES_MAX;
  }

  #fuse(p: Prepared, item: CompletionItem, index: number, input: Json): void {
    const node = p.profile.ir.nodes[index] as IrNode;
    const vars = this.vars(p, index, node, input);
    const extra = ',"f":1';
    try {
      const data = resolveInput(node, vars, input);
      fittingInput(node, data);
      const own = data === input ? vars : { ...vars, data };
      const output = fittingOutput(node, evaluatePure(node, own, data));
      this.#succeed(p, item, index, 1, vars, output, extra);
    } catch (error) {
      this.#fail(p, item, index, 1, vars, toExecutionError(error), extra);
    }
  }

  /** What the conditions of a node's out-edges and loop see. */
  #after(p: Prepared, index: number, node: IrNode, vars: Vars, output: Json): Vars {
    const after: Vars = { ...vars, output };
    if (node.edge_refs.length > 0) {
      after.ctx = p.data.context(index, p.token.scope, node.edge_refs);
    }
    return after;
  }

  /** What stands for an output in the run: itself, or the reference to what is kept beside it. */
  #kept(item: CompletionItem, text: string): string {
    if (!isBlobSized(text)) {
      return text;
    }
    const ref = blobRefOf(text);
    const { runId } = parseUnit(item.runId);
    const { epoch } = item;
    item.blobs = [...(item.blobs ?? []), { runId, epoch, sha256: ref.sha256, text }];
    return blobText(ref);
  }

  #text(output: Json): string {
    const text = JSON.stringify(output) ?? "null";
    const max = this.#options.outputBytesMax;
    if (text.length > max || (text.length * 3 > max && Buffer.byteLength(text) > max)) {
      const message = `the output has ${text.length} characters; at most ${max} bytes are kept`;
      throw new ExecutionError("TOO_LARGE", message, { retryable: false });
    }
    return text;
  }
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
