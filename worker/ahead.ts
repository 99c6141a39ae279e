/**
 * Pure functions (`pure: true`) that are called in the step of the node before them, as pure kinds are
 * evaluated there (21 A10): the same item settles both, each journalled on its own.
 *
 * Only success counts here. Whatever does not answer at once with an output that fits is left to a step
 * of its own, and called there once more: what throws has its retries there, what returns a promise its
 * time limit. After a redelivery nothing is called ahead: it may have been such a call that killed the
 * worker, and in a step of its own that is counted for the function and not for the node before it.
 */
import type { IrNode, Json } from "../compiler/ir.ts";
import type { Vars } from "../condition/index.ts";
import { executeKind } from "./kinds/index.ts";
import { LazyAbort } from "./lazy-abort.ts";
import type { Prepared } from "./prepared.ts";
import type { QueueReader } from "./reader.ts";
import { Call, type RunKindOptions } from "./run-kind.ts";

/** What has been done by then is not kept back for longer: the next function is a step of its own. */
const AHEAD_MS_MAX = 10;

export interface Answer {
  output: Json;
  ms: number;
}

export interface AheadOptions extends RunKindOptions {
  reader: Pick<QueueReader, "isOpen">;
  /** Monotonic ms. */
  nowMs: () => number;
}

export class Ahead {
  readonly #o: AheadOptions;
  /** Functions that have once answered with a promise. */
  readonly #slow = new Set<unknown>();
  /** Whose step this is, and until when functions are called in it. */
  #step: Prepared | null = null;
  #endMs = 0;

  constructor(options: AheadOptions) {
    this.#o = options;
  }

  /** What the function of `node` answers to `data` in the step of `p`; null: it has not been called. */
  call(p: Prepared, node: IrNode, vars: Vars, data: Json): Answer | null {
    const name = node.config["function_name"];
    const queue = p.profile.queueKeys[node.queue] as string;
    // Of a queue that is not read here, nothing is executed here: it may be paused.
    if (p.isRedelivered === true || this.#slow.has(name) || !this.#o.reader.isOpen(queue)) {
      return null;
    }
    const startedMs = this.#o.nowMs();
    if (this.#step !== p) {
      this.#step = p;
      this.#endMs = startedMs + AHEAD_MS_MAX;
    }
    if (startedMs > this.#endMs) {
      return null;
    }
    try {
      // Of `data` this is one reader of several: its siblings, and `ctx` of all that comes behind it.
      const call = new Call(this.#o, p, 1, vars, data, new LazyAbort(), false);
      const output = executeKind(node, call);
      if (output instanceof Promise) {
        this.#slow.add(name);
        output.catch(() => undefined);
        return null;
      }
      return { output, ms: Math.round(this.#o.nowMs() - startedMs) };
    } catch {
      return null;
    }
  }
}
