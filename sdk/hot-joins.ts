/**
 * What has arrived at the joins of a unit, folded from its journal: fields `j<node>` of its hash.
 *
 * A join holds the arrivals of one scope; the first of another begins it anew. Once it is decided,
 * which the journal says and nothing here does, its `live` is below zero and it takes no more.
 */
export interface HotJoin {
  scope: string;
  live: number;
  decided: number;
  failed: number;
  /** One character per in-edge: L, D, X, or `.` while undecided. */
  arrivals: string;
}

export class HotJoins extends Map<number, HotJoin> {
  /** Live tokens that wait at top level. */
  get waiting(): number {
    let count = 0;
    for (const { scope, live } of this.values()) {
      count += scope === "" && live > 0 ? live : 0;
    }
    return count;
  }

  /** The value of one in-edge comes to a join of so many. */
  arrive(
    node: number,
    scope: string,
    value: "L" | "D" | "X",
    position: number,
    arity: number,
  ): void {
    const join = this.#at(node, scope, arity);
    if (join.live < 0) {
      return;
    }
    join.arrivals = join.arrivals.slice(0, position) + value + join.arrivals.slice(position + 1);
    join.decided += 1;
    join.live += value === "L" ? 1 : 0;
    join.failed += value === "X" ? 1 : 0;
  }

  /**
   * Fired, skipped or cancelled, with the arrivals as they stood when it was: the step that decided
   * it may have brought more.
   */
  decide(node: number, scope: string, arrivals: string | undefined, arity: number): void {
    const join = this.#at(node, scope, arity);
    join.arrivals = arrivals ?? join.arrivals;
    join.decided = join.arrivals.replaceAll(".", "").length;
    join.failed = join.arrivals.split("X").length - 1;
    join.live = -1;
  }

  #at(node: number, scope: string, arity: number): HotJoin {
    let join = this.get(node);
    if (join?.scope !== scope) {
      join = { scope, live: 0, decided: 0, failed: 0, arrivals: ".".repeat(arity) };
      this.set(node, join);
    }
    return join;
  }
}
