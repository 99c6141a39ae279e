/**
 * What follows from a node's end: the effects that a worker hands to complete_tokens.
 *
 * Everything here is static per workflow and out-edge values, so it is worked out once and kept
 * (20 §4): which tokens are activated, which joins get an arrival, which joins lie on the border of
 * a dead region (the nodes in between are skipped without being written), which loops end with it,
 * and - the closure - what would follow if one of those joins is skipped in turn. The script reads
 * a closure only in that case; a join missing from it gets a token of its own, and whichever worker
 * reads that has the rest. So what would follow is sent only as far as there is room: where every node
 * of a layer is joined to all of the next it grows with the square of their number, and hardly any of
 * it ever happens. A join that is to cancel its losers is followed there by what these are, always.
 */
import type { Ir, IrNode } from "../compiler/ir.ts";
import { entrySuffix, loopChain } from "./scope.ts";

/** Value of an out-edge: live, dead, failed. */
export type EdgeValue = "L" | "D" | "X";

export interface EffectPlan {
  /** Plain activations at top level, flat: node, queue. The common case, kept short on the wire. */
  plain: readonly string[];
  /** All others, flat: type, node, depth, suffix, queue, position, need, arity. */
  args: readonly string[];
  closure: string;
}

export const NO_EFFECTS: EffectPlan = { plain: [], args: [], closure: "" };

/** `V` stands for the value of the skip that leads there. */
interface Effect {
  type: "T" | "F" | "G" | "E" | "L" | "V";
  node: number;
  depth: number;
  suffix: string;
  queue: number;
  position: number;
  need: number;
  arity: number;
}

/** Bounds of what is sent with one completion, and of what is kept per workflow. */
const CLOSURE_JOINS_MAX = 256;
export const CLOSURE_CHARS_MAX = 4096;
const MEMO_MAX = 4096;
export const MEMO_CHARS_MAX = 2_000_000;
/** Effects of skips that are kept, of all joins together. */
const SKIPS_MAX = 20_000;

/** Works out effects for one workflow; keeps what it has worked out. */
export class Planner {
  readonly #ir: Ir;
  readonly #depths: number[];
  readonly #plans = new Map<string, EffectPlan>();
  #planChars = 0;
  readonly #skips = new Map<number, Effect[]>();
  #skipEffects = 0;

  constructor(ir: Ir) {
    this.#ir = ir;
    this.#depths = ir.nodes.map((_, index) => loopChain(ir, index).length);
  }

  /**
   * Effects of a node's end with these out-edge values (in the order of `node.out`). A value `F` is
   * a live edge whose target is evaluated next, in the same item. `leaves`: the node is a latch and
   * its loop ends here.
   */
  end(node: number, edges: string, leaves: boolean): EffectPlan {
    return this.#memo(`${node}:${edges}:${leaves ? 1 : 0}`, () => {
      const ir = this.#node(node);
      const effects: Effect[] = leaves ? [this.#loopEnd(node)] : [];
      const values: (EdgeValue | "V")[] = leaves ? ["V"] : [];
      for (const place of this.#placesOf(ir)) {
        const fused = edges[place] === "F";
        const value = fused ? "L" : (edges[place] as EdgeValue);
        const follow = this.#edge(ir.out[place] as number, value === "L", fused);
        effects.push(...follow);
        values.push(...follow.map((): EdgeValue => value));
      }
      return this.#pack(effects, values);
    });
  }

  /** Effects of another round of the loop latched by `node`, after the round that `scope` names. */
  again(node: number, scope: string): EffectPlan {
    const loop = this.#ir.loops[this.#node(node).latch_of ?? -1];
    if (loop === undefined) {
      throw new Error(`node ${node} is not the latch of a loop`);
    }
    const round = Number(scope.slice(scope.lastIndexOf(":") + 1)) + 1;
    const head = this.#node(loop.head);
    // Loops inside this one that share its head begin anew with every round.
    const own = head.head_of.findIndex((l) => this.#ir.loops[l] === loop);
    const inner = head.head_of.slice(own + 1).map((l) => `${this.#ir.loops[l]?.latch ?? -1}:1`);
    const effect: Effect = {
      ...this.#target(loop.head, "G"),
      depth: (this.#depths[node] ?? 1) - 1,
      suffix: [`${node}:${round}`, ...inner].join("/"),
    };
    return this.#pack([effect], ["L"]);
  }

  /** Effects of skipping a join, for the token that spreads a skip. */
  skip(node: number, value: "D" | "X"): EffectPlan {
    return this.#memo(`skip:${node}:${value}`, () => {
      const effects = this.#skip(node);
      return this.#pack(
        effects,
        effects.map(() => value),
      );
    });
  }

  /**
   * Effects of a `skip` token in its scope: of a join that was skipped, or of a node that was active
   * and is skipped by hand. They differ for the head of a loop: a join that is skipped was not
   * entered, so its loop dies with it; an active head stands inside its round.
   */
  spread(node: number, scope: string, value: "D" | "X"): EffectPlan {
    const { head_of, out, latch_of } = this.#node(node);
    const depth = scope === "" ? 0 : scope.split("/").length;
    const isInside = head_of.length > 0 && depth === this.#depths[node];
    return isInside
      ? this.end(node, value.repeat(out.length), latch_of !== null)
      : this.skip(node, value);
  }

  #memo(key: string, make: () => EffectPlan): EffectPlan {
    let plan = this.#plans.get(key);
    if (plan === undefined) {
      plan = make();
      const chars = charsOf(plan);
      if (this.#plans.size >= MEMO_MAX || this.#planChars + chars > MEMO_CHARS_MAX) {
        this.#plans.clear();
        this.#planChars = 0;
      }
      this.#plans.set(key, plan);
      this.#planChars += chars;
    }
    return plan;
  }

  #node(index: number): IrNode {
    const node = this.#ir.nodes[index];
    if (node === undefined) {
      throw new Error(`the workflow has no node ${index}`);
    }
    return node;
  }

  /**
   * Places of a node's out-edges in the order in which they are followed. What stands behind comes
   * last: a worker that waits for work is given what was queued first, whatever its level.
   */
  #placesOf({ out }: IrNode): number[] {
    const places = out.map((_, place) => place);
    const { behind } = this.#ir;
    if (behind === undefined) {
      return places;
    }
    const isBehind = (place: number): boolean =>
      this.#node(this.#ir.edges[out[place] as number]?.to ?? 0).queue >= behind;
    return [...places.filter((place) => !isBehind(place)), ...places.filter(isBehind)];
  }

  #target(index: number, type: Effect["type"]): Effect {
    const node = this.#node(index);
    return {
      type,
      node: index,
      depth: (this.#depths[index] ?? 0) - node.head_of.length,
      suffix: entrySuffix(this.#ir, index),
      queue: node.queue,
      position: 0,
      need: node.join.need,
      arity: node.join.arity,
    };
  }

  #loopEnd(latch: number): Effect {
    const none = { suffix: "", queue: 0, position: 0, need: 0, arity: 0 };
    return { type: "E", node: latch, depth: this.#depths[latch] ?? 1, ...none };
  }

  /** An edge with its value; a dead edge to a node without a join skips that node and goes on. */
  #edge(index: number, live: boolean, fused: boolean): Effect[] {
    const edge = this.#ir.edges[index];
    if (edge === undefined) {
      throw new Error(`the workflow has no edge ${index}`);
    }
    const node = this.#node(edge.to);
    if (node.join.arity > 1) {
      const position = node.in.indexOf(index);
      return [{ ...this.#target(edge.to, live ? "L" : "V"), position }];
    }
    if (live) {
      return [this.#target(edge.to, fused ? "F" : "T")];
    }
    return this.#skip(edge.to);
  }

  /** Everything that follows at once when `start` is skipped, up to the next joins. */
  #skip(start: number): Effect[] {
    const known = this.#skips.get(start);
    if (known !== undefined) {
      return known;
    }
    const effects: Effect[] = [];
    const stack = [start];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      for (const index of this.#outOfSkipped(at, effects)) {
        const edge = this.#ir.edges[index];
        const target = edge === undefined ? undefined : this.#node(edge.to);
        if (edge !== undefined && target !== undefined && target.join.arity > 1) {
          effects.push({ ...this.#target(edge.to, "V"), position: target.in.indexOf(index) });
        } else if (edge !== undefined) {
          stack.push(edge.to);
        }
      }
    }
    if (this.#skipEffects + effects.length > SKIPS_MAX) {
      this.#skips.clear();
      this.#skipEffects = 0;
    }
    this.#skips.set(start, effects);
    this.#skipEffects += effects.length;
    return effects;
  }

  /** Edges that die with a skipped node: a loop dies as a whole, by its latch's edges. */
  #outOfSkipped(index: number, effects: Effect[]): number[] {
    const node = this.#node(index);
    const outer = node.head_of[0];
    if (outer !== undefined) {
      return this.#node(this.#ir.loops[outer]?.latch ?? -1).out;
    }
    if (node.latch_of !== null) {
      effects.push(this.#loopEnd(index));
    }
    return node.out;
  }

  #pack(effects: Effect[], values: (EdgeValue | "V")[]): EffectPlan {
    const args: string[] = [];
    const plain: string[] = [];
    effects.forEach((effect, i) => {
      const type = effect.type === "V" ? (values[i] ?? "D") : effect.type;
      if (type === "T" && effect.depth === 0 && effect.suffix === "") {
        plain.push(String(effect.node), String(effect.queue));
      } else {
        args.push(type, ...this.#fields(effect));
      }
    });
    return { plain, args, closure: this.#closure(effects, values) };
  }

  #fields(e: Effect): string[] {
    return [e.node, e.depth, e.suffix, e.queue, e.position, e.need, e.arity].map(String);
  }

  /** What each join cancels that these effects may make fire. */
  #losers(effects: readonly Effect[]): string {
    const joins = effects.flatMap(({ type, node, depth }) => {
      const { losers } = this.#node(node).join;
      return type === "L" && losers !== undefined ? [{ node, depth, losers }] : [];
    });
    return joins
      .map(({ node, depth, losers }) => {
        const at = (index: number): number => this.#depths[index] ?? 0;
        const lists = [
          losers.filter((index) => at(index) === depth),
          losers.filter((index) => {
            const { join, head_of } = this.#node(index);
            return join.arity > 1 && at(index) - head_of.length === depth;
          }),
          losers.filter((index) => this.#node(index).latch_of !== null && at(index) === depth + 1),
        ];
        return `|!${node}=${lists.join(";")}`;
      })
      .join("");
  }

  /** What follows for each join that these effects might skip, directly or in turn. */
  #closure(effects: Effect[], values: (EdgeValue | "V")[]): string {
    const failFast = this.#ir.settings.failure === "fail_fast";
    // With a live arrival an `all` join can only be skipped by a failed one.
    const open = effects
      .filter((e, i) => {
        const isSafe = e.type === "L" && failFast && e.need === 0;
        return e.type === "V" || (e.type === "L" && !isSafe) || values[i] === "X";
      })
      .filter((e) => e.arity > 1)
      .map((e) => e.node);
    const seen = new Set<number>();
    let text = "";
    for (let i = 0; i < open.length && seen.size < CLOSURE_JOINS_MAX; i++) {
      const join = open[i] as number;
      if (!seen.has(join)) {
        seen.add(join);
        const follow = this.#skip(join);
        const more = `|${join}=${follow.map((e) => [e.type, ...this.#fields(e)].join(",")).join(";")}`;
        if (text.length + more.length > CLOSURE_CHARS_MAX) {
          break; // what is next is likely as much, and would be made for nothing
        }
        text += more;
        open.push(...follow.filter((e) => e.arity > 1).map((e) => e.node));
      }
    }
    text += this.#losers(effects);
    return text === "" ? "" : `${text}|`;
  }
}

/** What a kept plan takes, about: of its lists a word for each member. */
function charsOf({ plain, args, closure }: EffectPlan): number {
  return 8 * (plain.length + args.length) + closure.length;
}
