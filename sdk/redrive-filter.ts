/**
 * What of a run's journal still holds when the ends of some tokens are undone (21 B8).
 *
 * The journal is replayed into a fresh state. A transition is kept if what it rests on is there: its
 * token is open, its join has the arrivals that decided it, its latch went round. So everything
 * that followed from what is undone drops out by itself, and nothing else. A join that was decided
 * by what is gone, and that what is left can decide, is decided anew at the end. One that has fired
 * and cancels its losers does so with what is undone among them, too.
 */
import type { Ir } from "../compiler/ir.ts";
import type { HotJoin } from "./hot-joins.ts";
import { HotState } from "./hot-state.ts";
import type { Transition } from "./journal.ts";
import { openLosers } from "./losers.ts";

/** A transition and when it was made, Redis time in ms. */
export interface Placed {
  transition: Transition;
  t: number;
}

export interface Filtered {
  kept: Placed[];
  /** What settled or moved a token and does not hold any more. */
  dropped: Placed[];
  state: HotState;
}

/** Names a token: node index and scope. */
export function tokenKey(node: number, scope: string): string {
  return `${node}|${scope}`;
}

/** The token of the run that a transition is about: of one inside a map, the outermost map's. */
export function ownerOf({ n = -1, s = "", m }: Transition): { node: number; scope: string } {
  const [, before = "", node = ""] = /^(.*?)(\d+)#/.exec(m ?? "") ?? [];
  return m === undefined
    ? { node: n, scope: s }
    : { node: Number(node), scope: before.replace(/\/$/, "") };
}

const OPEN = "arwkmg";
/** Of the run as a whole only its start says what the state is. */
const RUN_KEPT: ReadonlySet<string> = new Set(["run.started", "signal.kept", "counter.adjusted"]);

/** Replays a journal without the ends of the tokens in `undone` (see tokenKey). */
export function withoutUndone(
  ir: Ir,
  journal: readonly Placed[],
  undone: ReadonlySet<string>,
): Filtered {
  const filtered: Filtered = { kept: [], dropped: [], state: new HotState(ir) };
  const { state, kept, dropped } = filtered;
  const enough = new Enough(ir, state);
  let held = false;
  for (const { transition, t } of journal) {
    if (transition.e.startsWith("run.") && !RUN_KEPT.has(transition.e)) {
      continue;
    }
    const holds = stillHolds(state, transition, undone, held);
    if (holds === null) {
      dropped.push({ transition, t });
    } else {
      state.apply(holds, t);
      kept.push({ transition: holds, t });
      enough.look();
    }
    held = holds !== null;
  }
  decideAnew(filtered, enough, journal.at(-1)?.t ?? 0);
  return filtered;
}

/**
 * By what arrivals a join that does not wait for all would have been decided, had it been left to
 * those that are left: by the first that were enough. Later ones came to a join that was decided.
 */
class Enough {
  readonly #ir: Ir;
  readonly #state: HotState;
  readonly #nodes: readonly number[];
  readonly #before = new Map<string, string>();
  readonly #first = new Map<string, string>();

  constructor(ir: Ir, state: HotState) {
    this.#ir = ir;
    this.#state = state;
    this.#nodes = ir.nodes.flatMap(({ join }, node) => (join.need > 0 ? [node] : []));
  }

  /** To be called after each transition. */
  look(): void {
    for (const node of this.#nodes) {
      const join = this.#state.joins.get(node);
      const key = tokenKey(node, join?.scope ?? "");
      if (join === undefined || join.live < 0 || this.#first.has(key)) {
        continue;
      }
      if (outcomeOf(this.#ir, node, join.arrivals) === "fired") {
        this.#first.set(key, this.#upTo(node, this.#before.get(key) ?? "", join.arrivals));
      }
      this.#before.set(key, join.arrivals);
    }
  }

  arrivalsOf(node: number, { scope, arrivals }: HotJoin): string {
    return this.#first.get(tokenKey(node, scope)) ?? arrivals;
  }

  /** One transition may bring more than enough: then they count in the order of the edges. */
  #upTo(node: number, before: string, arrivals: string): string {
    const need = this.#ir.nodes[node]?.join.need ?? 0;
    let live = before.split("L").length - 1;
    return [...arrivals]
      .map((value, i) => {
        const isNew = before === "" || before[i] === ".";
        live += isNew && value === "L" ? 1 : 0;
        return isNew && value === "L" && live > need ? "." : value;
      })
      .join("");
  }
}

/** The transition as it holds in this state; null: it does not. */
function stillHolds(
  state: HotState,
  t: Transition,
  undone: ReadonlySet<string>,
  previousHeld: boolean,
): Transition | null {
  if (RUN_KEPT.has(t.e)) {
    return t;
  }
  const isOwn = t.m === undefined;
  if (isOwn && t.j !== undefined && !hasFired(state, t)) {
    return null;
  }
  if (isOwn && t.e === "join.decided") {
    return decisionLeft(state, t);
  }
  if (isOwn && t.e === "node.cancelled" && t.a === undefined) {
    return state.rounds.get(t.n ?? -1) === t.s ? t : null;
  }
  if (isOwn && t.e === "loop.round") {
    return previousHeld ? t : null; // told right after the completion that went round
  }
  const { node, scope } = ownerOf(t);
  const token = state.tokens.get(node);
  const isOpen = token?.scope === scope && OPEN.includes(token.state) && state.isCurrent(scope);
  return isOpen && !undone.has(tokenKey(node, scope)) ? t : null;
}

/** Whether the join that had no need of it has fired. */
function hasFired(state: HotState, { j = -1 }: Transition): boolean {
  return (state.joins.get(j)?.live ?? 0) < 0 && state.tokens.has(j);
}

/** A join's decision by those of its arrivals that are left; null: they do not decide it so. */
function decisionLeft(state: HotState, t: Transition): Transition | null {
  const node = t.n ?? -1;
  const join = state.joins.get(node);
  if (join === undefined || join.scope !== (t.s ?? "") || join.live < 0) {
    return null;
  }
  if (t.v === "cancelled") {
    return t;
  }
  const arrivals = [...(t.in ?? "")]
    .map((value, i) => (join.arrivals[i] === value ? value : "."))
    .join("");
  return outcomeOf(state.ir, node, arrivals) === t.v ? { ...t, in: arrivals } : null;
}

function outcomeOf(ir: Ir, node: number, arrivals: string): Transition["v"] | null {
  const { need, arity } = ir.nodes[node]?.join ?? { need: 0, arity: 0 };
  const count = (value: string): number => arrivals.split(value).length - 1;
  const isComplete = count(".") === 0 && arrivals.length === arity;
  const isFull = need > 0 ? count("L") >= need : isComplete && count("L") > 0 && count("X") === 0;
  if (isFull) {
    return "fired";
  }
  return isComplete ? (count("X") > 0 ? "failed" : "skipped") : null;
}

/** Joins that what is left can decide, and what follows from that. */
function decideAnew(filtered: Filtered, enough: Enough, t: number): void {
  const { state, kept } = filtered;
  const r = kept[0]?.transition.r ?? "";
  const decidable = (): [number, HotJoin] | undefined =>
    [...state.joins].find(
      ([node, join]) =>
        join.live >= 0 &&
        state.isCurrent(join.scope) &&
        outcomeOf(state.ir, node, join.arrivals) !== null,
    );
  for (let next = decidable(); next !== undefined; next = decidable()) {
    const [n, join] = next;
    const [s, arrivals] = [join.scope, enough.arrivalsOf(n, join)];
    const v = outcomeOf(state.ir, n, arrivals) as "fired" | "skipped" | "failed";
    const transition: Transition = { r, e: "join.decided", n, s, v, in: arrivals };
    state.apply(transition, t);
    kept.push({ transition, t });
    enough.look();
  }
  cancelLosers(filtered, t);
}

/** What is undone in the branches of a join that has fired, and still has, does not run again. */
function cancelLosers({ state, kept }: Filtered, t: number): void {
  const r = kept[0]?.transition.r ?? "";
  for (const [join, { scope, live }] of state.joins) {
    const isFired = live < 0 && state.tokens.get(join) !== undefined && state.isCurrent(scope);
    for (const transition of isFired ? openLosers(state, r, join, scope) : []) {
      state.apply(transition, t);
      kept.push({ transition, t });
    }
  }
}
