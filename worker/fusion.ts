/**
 * Pure nodes behind a step, evaluated before the step's own result is made: whether there is room for
 * one in the item is known from what all before it have put out, and what there is no room for goes
 * through its queue (21 A10).
 */
import type { Vars } from "../condition/index.ts";
import type { IrNode, Json } from "../compiler/ir.ts";
import { FUSION, varsOf } from "../sdk/internal.ts";
import type { Ahead } from "./ahead.ts";
import { resolveInput, toExecutionError, type ExecutionError } from "./kinds/kind.ts";
import { evaluatePure } from "./kinds/pure.ts";
import { fittingInput, fittingOutput } from "./kinds/schemas.ts";
import type { Prepared } from "./prepared.ts";

/** Characters of what the pure nodes of an item put out, beyond which the next is a step of its own. */
const FUSED_CHARS_MAX = 256 * 1024;

/** A node that is evaluated in the step of another. */
export interface Fused {
  index: number;
  vars: Vars;
  /** Of a function, for how long it was called; null: of a kind that is evaluated. */
  ms: number | null;
  /** `text`: what is kept of the output. */
  outcome: { output: Json; text: string } | { error: ExecutionError };
}

export class Fusion {
  readonly #ahead: Pick<Ahead, "call"> | undefined;
  readonly #textOf: (output: Json) => string;
  /** Of the item that is being made. */
  #nodes = 0;
  #chars = 0;

  constructor(ahead: Pick<Ahead, "call"> | undefined, textOf: (output: Json) => string) {
    this.#ahead = ahead;
    this.#textOf = textOf;
  }

  /** Another item is made. Each is made at once, so none comes in between. */
  begin(): void {
    this.#nodes = 0;
    this.#chars = 0;
  }

  /** What node `index` makes of `input` in this step; null: it is to be a step of its own. */
  evaluate(p: Prepared, index: number, input: Json): Fused | null {
    if (this.#nodes >= FUSION.nodesMax || this.#chars >= FUSED_CHARS_MAX) {
      return null;
    }
    const node = p.profile.ir.nodes[index] as IrNode;
    const fused =
      node.ahead === true ? this.#called(p, index, node, input) : this.#made(p, index, node, input);
    if (fused !== null) {
      this.#nodes += 1;
      this.#chars += "text" in fused.outcome ? fused.outcome.text.length : 0;
    }
    return fused;
  }

  /** A function counts only if it succeeds, with what can be kept. */
  #called(p: Prepared, index: number, node: IrNode, input: Json): Fused | null {
    if (this.#ahead === undefined) {
      return null;
    }
    try {
      const vars = varsOf(p, index, node, input);
      const data = resolveInput(node, vars, input);
      const answer = this.#ahead.call(p, node, data === input ? vars : { ...vars, data }, data);
      if (answer === null) {
        return null;
      }
      const { output, ms } = answer;
      return { index, vars, ms, outcome: { output, text: this.#textOf(output) } };
    } catch {
      return null; // its config cannot be evaluated, or its output not kept: so it fails by itself
    }
  }

  #made(p: Prepared, index: number, node: IrNode, input: Json): Fused {
    const vars = varsOf(p, index, node, input);
    try {
      const data = resolveInput(node, vars, input);
      fittingInput(node, data);
      const own = data === input ? vars : { ...vars, data };
      const output = fittingOutput(node, evaluatePure(node, own, data));
      return { index, vars, ms: null, outcome: { output, text: this.#textOf(output) } };
    } catch (error) {
      return { index, vars, ms: null, outcome: { error: toExecutionError(error) } };
    }
  }
}
