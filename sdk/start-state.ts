/**
 * The state of a run that begins in the middle of its workflow (docs/start-at.md).
 *
 * What the plan says is written down as fields of the run hash, once, when the run is accepted: with
 * its row, and by its start in the journal. So neither whoever starts it, nor whoever folds its
 * journal, decides anything anew, or needs expressions for it.
 */
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import { hotFields, isStateField } from "./hot-fields.ts";
import { editedInput } from "./hot-restore.ts";
import type { HotJoin } from "./hot-joins.ts";
import { HotState } from "./hot-state.ts";
import { openLosers } from "./losers.ts";
import { entrySuffix, loopChain, scopeJoin } from "./scope.ts";

/** Where a run begins, as the compiler's planStart says it. By index. */
export interface StartPoint {
  /** Nodes that begin, with the inputs given to them. */
  starts: ReadonlyMap<number, Json | undefined>;
  /** Outputs of nodes that count as completed. */
  given: ReadonlyMap<number, Json>;
  /** Edges from nodes that do not run to such that may. */
  edges: ReadonlyMap<number, "live" | "dead">;
}

/**
 * Fields of the run hash with which such a run begins; its status, epoch and the like left out. `keep`
 * says what stands there for a value that is given.
 */
export function startFields(
  ir: Ir,
  point: StartPoint,
  keep: (given: Json) => Json = (given) => given,
): { [field: string]: string } {
  const state = new Beginning(ir, point, keep).state;
  const more = { epoch: 0, irHash: "", input: null, namespace: "", priority: "" };
  const fields = Object.entries(hotFields(state, more));
  return Object.fromEntries(fields.filter(([field]) => isStateField(field)));
}

class Beginning {
  readonly state: HotState;
  readonly #ir: Ir;
  readonly #point: StartPoint;
  readonly #keep: (given: Json) => Json;

  constructor(ir: Ir, point: StartPoint, keep: (given: Json) => Json) {
    this.#ir = ir;
    this.#point = point;
    this.#keep = keep;
    this.state = new HotState(ir);
    for (const start of point.starts.keys()) {
      this.#open(this.#joinScope(start));
    }
    for (const [node, output] of point.given) {
      const scope = scopeJoin(this.#joinScope(node), entrySuffix(ir, node));
      this.#close(scope);
      const rest = JSON.stringify(this.#keep(output));
      const record = { state: "c" as const, attempt: 1, scope, rest };
      this.state.tokens.set(node, { ...record, timer: null, isResumed: false });
    }
    point.starts.forEach((input, node) => this.#start(node, input));
    this.#arrivals();
  }

  /** The scope of a node's join, outside of the loops that it heads: in first rounds. */
  #joinScope(node: number): string {
    const heads = this.#ir.nodes[node]?.head_of ?? [];
    return loopChain(this.#ir, node)
      .filter((loop) => !heads.includes(loop))
      .map((loop) => `${this.#ir.loops[loop]?.latch ?? -1}:1`)
      .join("/");
  }

  /** Its rounds are those that the run is in. */
  #open(scope: string): void {
    this.#rounds(scope, (latch, round) => this.state.rounds.set(latch, round));
  }

  /** Unless the run begins in them, its rounds are over. */
  #close(scope: string): void {
    this.#rounds(scope, (latch, round) => {
      if (!this.state.rounds.has(latch)) {
        this.state.rounds.set(latch, `e${round}`);
      }
    });
  }

  #rounds(scope: string, each: (latch: number, round: string) => void): void {
    const elements = scope === "" ? [] : scope.split("/");
    elements.forEach((element, i) => {
      each(Number.parseInt(element, 10), elements.slice(0, i + 1).join("/"));
    });
  }

  #start(node: number, input: Json | undefined): void {
    const { in: edges, join } = this.#ir.nodes[node] as IrNode;
    const arrivals =
      join.arity > 1
        ? edges.map((edge) => (this.#point.edges.get(edge) === "live" ? "L" : "D")).join("")
        : "";
    const scope = this.#joinScope(node);
    if (arrivals !== "") {
      this.state.joins.set(node, { ...countOf(arrivals), scope, live: -1 });
    }
    const own = this.#activate(node, scope, arrivals);
    if (input !== undefined) {
      this.state.edited.set(node, editedInput(own, this.#keep(input)));
    }
  }

  /** The scope of its token. */
  #activate(node: number, outside: string, rest: string): string {
    const scope = scopeJoin(outside, entrySuffix(this.#ir, node));
    this.#open(scope);
    const record = { state: "a" as const, attempt: 1, scope, rest };
    this.state.tokens.set(node, { ...record, timer: null, isResumed: false });
    return scope;
  }

  /** What joins behind the starts have heard already; one that needs no more fires, and others lose. */
  #arrivals(): void {
    for (const [edge, value] of this.#point.edges) {
      const node = this.#ir.edges[edge]?.to ?? -1;
      const { in: edges, join } = this.#ir.nodes[node] as IrNode;
      const scope = this.#joinScope(node);
      const before = this.state.joins.get(node);
      if (this.#point.starts.has(node) || (before?.live ?? 0) < 0) {
        continue;
      }
      const heard = [...(before?.arrivals ?? ".".repeat(join.arity))];
      heard[edges.indexOf(edge)] = value === "live" ? "L" : "D";
      const now = { ...countOf(heard.join("")), scope };
      const isFired = join.need > 0 && now.live >= join.need;
      this.state.joins.set(node, isFired ? { ...now, live: -1 } : now);
      if (isFired) {
        this.#activate(node, scope, now.arrivals);
      }
    }
    for (const [node, { scope, live }] of this.state.joins) {
      const lost = live < 0 ? openLosers(this.state, "", node, scope) : [];
      lost.forEach((transition) => this.state.apply(transition, 0));
    }
  }
}

function countOf(arrivals: string): Omit<HotJoin, "scope"> {
  const count = (value: string): number => arrivals.split(value).length - 1;
  return { arrivals, live: count("L"), decided: arrivals.length - count("."), failed: count("X") };
}
