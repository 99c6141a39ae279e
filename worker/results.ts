/**
 * The results of an item: a node's outcome with its edges decided, and those of the pure nodes
 * behind its live edges, which are evaluated in the same step (20 §6, 21 A10).
 */
import type { Vars } from "../condition/index.ts";
import type { IrNode, Json } from "../compiler/ir.ts";
import {
  blobRefOf,
  blobText,
  type CompletionItem,
  type CompletionResult,
  isBlobSized,
  needsOf,
  NO_EFFECTS,
} from "../sdk/internal.ts";
import type { Ahead } from "./ahead.ts";
import { decideFailure, decideSuccess, plainEdges } from "./decide.ts";
import { Fusion, type Fused } from "./fusion.ts";
import { errorValue, toExecutionError, type ExecutionError } from "./kinds/kind.ts";
import type { Prepared } from "./prepared.ts";
import { outputText } from "./output-text.ts";

/** An item without results: only the entry is acknowledged. */
export function itemOf(p: Pick<Prepared, "token" | "profile" | "node">): CompletionItem {
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

/** A result of the token's node or of one evaluated after it: a success, until told otherwise. */
export function resultOf(p: Prepared, node: number): CompletionResult {
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

/** Adds results to items. */
export class Results {
  readonly #outputBytesMax: number;
  readonly #fusion: Fusion;
  /** How the journal names this worker. */
  readonly #worker: string;

  constructor(options: { outputBytesMax: number; workerId: string; ahead?: Pick<Ahead, "call"> }) {
    this.#outputBytesMax = options.outputBytesMax;
    this.#fusion = new Fusion(options.ahead, (output) => this.text(output));
    this.#worker = `,"w":"${options.workerId}"`;
  }

  /** What the journal says of an execution: how long, and who. */
  extra(ms: number): string {
    return `,"ms":${ms}${this.#worker}`;
  }

  /**
   * Adds the success of node `index`: an output that cannot be kept, or decided on, fails it. `made`:
   * the output's text, if it is there already.
   */
  succeed(
    p: Prepared,
    item: CompletionItem,
    index: number,
    attempt: number,
    vars: Vars,
    output: Json,
    extra: string,
    made?: string,
  ): void {
    const { ir, planner } = p.profile;
    const node = ir.nodes[index] as IrNode;
    const { scope } = p.token;
    let text: string;
    let edges: string | null;
    try {
      text = made ?? this.text(output);
      edges = plainEdges(ir, node);
      if (edges === null) {
        const decision = decideSuccess(ir, node, scope, this.#after(p, index, node, vars, output));
        edges = decision.again ? null : decision.edges;
      }
    } catch (error) {
      this.fail(p, item, index, attempt, vars, toExecutionError(error), extra);
      return;
    }
    const result = resultOf(p, index);
    result.attempt = attempt;
    result.value = this.#kept(item, text);
    result.extra = extra + (node.sets_status === undefined ? "" : statusText(node.sets_status));
    if (edges === null) {
      result.op = "A";
      result.delayMs = ir.loops[node.latch_of as number]?.delay_ms ?? 0;
      result.plan = planner.again(index, scope);
      item.results.push(result);
      return;
    }
    this.#settle(p, item, result, node, edges, output);
  }

  /** Adds to a map's success which elements of it have failed, a JSON text; it stands last. */
  addErrors(item: CompletionItem, text: string): void {
    const [map] = item.results;
    if (map !== undefined && (map.op === "C" || map.op === "A")) {
      map.extra += `,"errs":${this.#kept(item, text)}`;
    }
  }

  /** Adds the final failure of node `index`. */
  fail(
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
    const base = { ...resultOf(p, index), attempt, value: JSON.stringify(value) };
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
    const fused: Fused[] = [];
    let values = edges;
    if (item.results.length === 0) {
      this.#fusion.begin();
    }
    node.out.forEach((edge, place) => {
      const to = ir.edges[edge]?.to ?? -1;
      const next = ir.nodes[to];
      const isFusible = next?.fusible === true || next?.ahead === true;
      if (!isFusible || edges[place] !== "L" || !isCovered(p, to)) {
        return;
      }
      if (result.op === "C") {
        p.data.keep(result.node, output);
      }
      const evaluated = this.#fusion.evaluate(p, to, output);
      if (evaluated !== null) {
        fused.push(evaluated);
        values = `${values.slice(0, place)}F${values.slice(place + 1)}`;
      }
    });
    result.edges = edges;
    result.plan = planner.end(result.node, values, node.latch_of !== null);
    item.results.push(result);
    for (const one of fused) {
      if (item.results.at(-1)?.op === "X") {
        return; // the run has ended with one of them: nothing comes after that
      }
      this.#add(p, item, one);
    }
  }

  /** Adds what a node behind the step has come to. */
  #add(p: Prepared, item: CompletionItem, { index, vars, ms, outcome }: Fused): void {
    const extra = ms === null ? ',"f":1' : this.extra(ms);
    if ("error" in outcome) {
      this.fail(p, item, index, 1, vars, outcome.error, extra);
    } else {
      this.succeed(p, item, index, 1, vars, outcome.output, extra, outcome.text);
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
    (item.blobs ??= []).push({ sha256: ref.sha256, text });
    return blobText(ref);
  }

  /** The JSON text of what is kept of a node; `what` it is. Throws ExecutionError TOO_LARGE. */
  text(value: Json, what = "the output"): string {
    return outputText(value, this.#outputBytesMax, what);
  }
}

/** Whether what was read for the token is all that a node behind it may ask for, too. */
function isCovered({ token, profile, isUnread }: Prepared, node: number): boolean {
  return isUnread !== true && needsOf(profile.ir, token.node).fused.has(node);
}

/** What the journal says of a success that sets the run's business status. */
function statusText(status: string): string {
  return `,"bs":${JSON.stringify(status)}`;
}
