/**
 * The tokens of a unit, folded from its journal: fields `n<node>` of its hash, with what its timers
 * and waits say of them.
 *
 * One token a node, the last there was. The elements of a map are void with the token that expanded
 * it: what ends that one, or sends it on by hand, takes them away.
 */
import type { TokenRecord } from "./entry.ts";
import type { WaitAnswer, WaitInfo } from "./waits.ts";

export interface HotTimer {
  /** Redis time, ms. */
  dueMs: number;
  kind: "emit" | "resume" | "expire" | "map";
}

export interface HotToken extends TokenRecord {
  /** Set while the token waits for a time. */
  timer: HotTimer | null;
  /** Its delay is over: it goes on, it does not wait again. */
  isResumed: boolean;
  /** Of one that waits: the circuit that holds it back. */
  circuit?: string | undefined;
  /** What a parked token waits for, if not for a time only. */
  wait?: WaitInfo;
  /** What ended its wait. */
  answer?: WaitAnswer;
}

/** States in which a token at top level counts for its unit. */
const IN_FLIGHT = "arwkmg";
/** States in which it has ended, and a map's elements with it. */
const ENDED = "cfx";

export class HotTokens extends Map<number, HotToken> {
  readonly #maps: Map<number, unknown>;

  /** `maps`: the maps of the same unit whose elements are there. */
  constructor(maps: Map<number, unknown>) {
    super();
    this.#maps = maps;
  }

  /** Tokens in flight at top level. */
  get inFlight(): number {
    let count = 0;
    for (const token of this.values()) {
      count += token.scope === "" && IN_FLIGHT.includes(token.state) ? 1 : 0;
    }
    return count;
  }

  /** A new record: the token begins, or has ended; it waits for nothing. */
  put(
    node: number,
    scope: string,
    state: TokenRecord["state"],
    attempt: number,
    rest: string,
  ): void {
    this.set(node, { state, attempt, scope, rest, timer: null, isResumed: false });
    if (ENDED.includes(state)) {
      this.#maps.delete(node);
    }
  }

  /** Changes a token that is there. */
  change(node: number, change: Partial<HotToken>): void {
    const token = this.get(node);
    if (token !== undefined) {
      this.set(node, { ...token, ...change });
    }
  }

  /** It waits for another attempt (`r`), or for what its node waits for (`w`). */
  wait(
    node: number,
    state: "r" | "w",
    attempt: number,
    timer: HotTimer | null,
    circuit?: string,
  ): void {
    this.change(node, { state, attempt, timer, circuit });
  }

  /** It is activated again, by its timer, its answer or by hand. */
  resume(node: number, isResumed: boolean, attempt = this.get(node)?.attempt ?? 1): void {
    this.#maps.delete(node); // settled by hand: its elements are void
    this.change(node, { state: "a", attempt, timer: null, isResumed });
  }
}
