/**
 * A frame: the place where tokens of one scope live - the top level, or one round of one loop.
 *
 * A round is a world of its own: joins in it count its arrivals only, and what its nodes put out is
 * seen from it. Going round again leaves the old frame behind with everything that was still in
 * flight there; nothing has to be removed.
 */
import type { Ir, Json } from "../ir.ts";
import type { EdgeValue } from "./types.ts";

/** What an ended node sends to its successors. */
export interface Ended {
  /** Only the output of a completed node can be read with `ctx`. */
  status: "completed" | "failed";
  value: Json;
  /** Of a map that goes on with failed elements. */
  errors?: Json;
}

export interface JoinState {
  arrivals: (EdgeValue | null)[];
  isDecided: boolean;
}

export class Frame {
  /** Index into `Ir.loops`; null at top level. */
  readonly loop: number | null;
  /** From 1; 0 at top level. */
  readonly round: number;
  readonly parent: Frame | null;
  /** At the top of an element or a child run: the frame of the token that it belongs to. */
  readonly #within: Frame | null;
  readonly scope: string;
  readonly ended = new Map<number, Ended>();
  readonly joins = new Map<number, JoinState>();
  /** The current round, or the last, of each loop that was entered from here. */
  readonly rounds = new Map<number, Frame>();
  readonly #cancelled = new Set<number>();
  #isOver = false;

  private constructor(
    loop: number | null,
    round: number,
    parent: Frame | null,
    scope: string,
    within: Frame | null,
  ) {
    this.#within = within;
    this.loop = loop;
    this.round = round;
    this.parent = parent;
    this.scope = scope;
  }

  /** The top level of a graph; `within` is where the graph itself stands, if not on its own. */
  static top(within: Frame | null): Frame {
    return new Frame(null, 0, null, "", within);
  }

  /** Begin a round of a loop inside this frame; the round before it is over. */
  enter(ir: Ir, loop: number): Frame {
    const before = this.rounds.get(loop);
    before?.end();
    const round = (before?.round ?? 0) + 1;
    const element = `${ir.loops[loop]?.latch ?? -1}:${round}`;
    const scope = this.scope === "" ? element : `${this.scope}/${element}`;
    const frame = new Frame(loop, round, this, scope, null);
    this.rounds.set(loop, frame);
    return frame;
  }

  /** From now on whatever is in flight here, or in loops in here, is void. */
  end(): void {
    this.#isOver = true;
  }

  /** What is in flight at this node, right here, is void; until the node is activated again. */
  cancel(node: number): void {
    this.#cancelled.add(node);
  }

  activate(node: number): void {
    this.#cancelled.delete(node);
  }

  hasCancelled(node: number): boolean {
    return this.#cancelled.has(node);
  }

  isAlive(): boolean {
    return !this.#isOver && ((this.parent ?? this.#within)?.isAlive() ?? true);
  }

  /** The frame of `loop` (null: the top level) that this one is, or is inside of. */
  around(loop: number | null): Frame {
    if (this.loop === loop) return this;
    if (this.parent === null) {
      throw new Error(`the IR is broken: an edge leads into the body of loop ${loop}`);
    }
    return this.parent.around(loop);
  }

  joinOf(node: number, arity: number): JoinState {
    let state = this.joins.get(node);
    if (!state) {
      state = { arrivals: new Array<EdgeValue | null>(arity).fill(null), isDecided: false };
      this.joins.set(node, state);
    }
    return state;
  }
}
