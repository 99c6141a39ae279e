/**
 * Redriving a failed run (21 B8): which tokens run again, what is kept, and what the journal must say
 * so that folding it gives the same. Pure: the same journal and the same wish give the same plan.
 *
 * Undone are the failures that nobody handled, tokens that were open when the run failed, and what
 * the caller names; with them goes everything that followed from them (redrive-filter.ts). What was
 * undone starts with attempt 1. Not a child run: its attempt is part of its id, so it goes on
 * counting. A delay that has begun goes on.
 */
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import { nearestName } from "../condition/suggest.ts";
import { GavotteError } from "./errors.ts";
import { requireFit, assertInput } from "./given.ts";
import { editedInput, forgetAnswers } from "./hot-restore.ts";
import type { HotState } from "./hot-state.ts";
import type { HotToken } from "./hot-tokens.ts";
import type { Redriven, Transition } from "./journal.ts";
import { changedFields, changedViews } from "./redrive-changes.ts";
import { ownerOf, tokenKey, withoutUndone, type Filtered, type Placed } from "./redrive-filter.ts";
import { outermostMap } from "./unit.ts";

export interface RedriveWish {
  /** Nodes that run again with everything behind them: `id`, or `id@scope` for a round of a loop. */
  from?: readonly string[];
  /** Of the unhandled failures only these: `id` or `id@scope`. */
  only?: readonly string[];
  /** Nodes that get this output instead of running. */
  set?: { [node: string]: Json };
  /** Nodes that run again with this input instead of their own. */
  inputs?: { [node: string]: Json };
  /** The run's input from now on. */
  input?: Json;
  by: string;
  why?: string;
}

export interface RedrivePreview {
  /** Nodes that start at once. */
  starts: string[];
  /** Nodes that had ended and run again when they are reached. */
  again: string[];
  /** Nodes whose results are kept. */
  kept: string[];
  /** Nodes with effects outside of the engine that were executed before and are so again. */
  effects: string[];
  /** Such nodes that may have been: a worker may have had them when the run failed. */
  uncertain: string[];
  /** Nodes that do not run, because their output is given by hand. */
  given: string[];
}

export interface RedrivePlan {
  preview: RedrivePreview;
  /** The state that the run goes on from. */
  state: HotState;
  redriven: Redriven;
}

/** Kinds whose execution may have been noticed outside of the engine. */
const EFFECTS: ReadonlySet<string> = new Set([
  "function",
  "http",
  "llm",
  "emit",
  "subworkflow",
  "map",
]);

/** Of these, kinds whose first attempt does so only with a transition of its own: it is known. */
const TOLD: ReadonlySet<string> = new Set(["subworkflow", "map"]);

/**
 * Plans a redrive of a run that has failed; `keep` says what stands in it for a value that is given.
 * Throws GV_BAD_INPUT when there is nothing to do.
 */
export function planRedrive(
  ir: Ir,
  journal: readonly Placed[],
  wish: RedriveWish,
  keep: (given: Json) => Json = (given) => given,
): RedrivePlan {
  if (wish.input !== undefined) {
    assertInput(ir, wish.input);
  }
  const effective = effectiveJournal(ir, journal);
  const undone = undoneBy(ir, effective, wish);
  const filtered = withoutUndone(ir, effective, undone);
  const { state } = filtered;
  countOn(ir, state, effective);
  forgetAnswers(state);
  const set = answersOf(ir, state, wish, keep);
  for (const [name, input] of Object.entries(wish.inputs ?? {})) {
    const [node, token] = startOf(ir, state, name);
    requireFit(ir.nodes[node] as IrNode, "input", input);
    state.edited.set(node, editedInput(token.scope, keep(input)));
  }
  const isOpen = [...state.tokens.values()].some(
    (token) => "arwk".includes(token.state) && state.isCurrent(token.scope),
  );
  if (!isOpen) {
    throw new GavotteError("GV_BAD_INPUT", whyNothingRuns(state, effective, undone));
  }
  const redriven: Redriven = {
    u: [...undone],
    ...changedFields(ir, journal, state),
    ...changedViews(ir, journal, filtered.kept),
    ...(Object.keys(set).length > 0 && { set }),
    ...(wish.input !== undefined && { in: keep(wish.input) }),
  };
  const begun = begunNodes(ir, effective);
  return { preview: previewOf(ir, filtered, begun, wish), state, redriven };
}

/** Nothing is undone, or only what lies in a round that is over: nothing of that runs again. */
function whyNothingRuns(
  state: HotState,
  effective: readonly Placed[],
  undone: ReadonlySet<string>,
): string {
  const [first] = undone;
  if (first === undefined) {
    return (
      "nothing of this run is undone, so it would end as it did: " +
      "name the nodes to run again (--from)"
    );
  }
  const [node, scope = ""] = first.split("|");
  const lost = (name: string, winner: string): string =>
    `${name} would not run again, because \`${winner}\` has not waited for it and has ended since: ` +
    `begin there (--from ${winner})`;
  const winner = winnerOver(state, Number(node));
  if (winner !== null && state.tokens.get(Number(node))?.state === "x") {
    return lost(state.ir.nodes[Number(node)]?.id ?? node ?? "", winner);
  }
  const name = (n: unknown, s = ""): string => `${state.ir.nodes[Number(n)]?.id}@${s}`;
  const over = roundOver(state, scope) ?? scope;
  const executed = effective
    .map(({ transition }) => transition)
    .filter(({ e, s = "", m }) => isExecution(e) && m === undefined && isWithin(s, over));
  const latch = Number.parseInt(over.slice(over.lastIndexOf("/") + 1), 10);
  // A round that died has no end to be undone, only what it began with.
  const latched = executed.findLast(({ n, s }) => n === latch && s === over);
  const loopsWinner = latched === undefined ? winnerOver(state, latch) : null;
  if (loopsWinner !== null) {
    return lost(name(node, scope), loopsWinner);
  }
  const end = latched ?? executed[0];
  return (
    `${name(node, scope)} would not run again, because it lies in a round of a loop that has ` +
    `ended since: begin in that round (--from ${name(end?.n, end?.s)})`
  );
}

/** Id of a join that has fired and cancelled this node, or the loop of this latch; null: none. */
function winnerOver({ ir, joins, tokens }: HotState, loser: number): string | null {
  const isWinner = ({ join }: IrNode, node: number): boolean =>
    join.losers?.includes(loser) === true && (joins.get(node)?.live ?? 0) < 0 && tokens.has(node);
  return ir.nodes.find(isWinner)?.id ?? null;
}

/** The outermost of a scope's rounds that is over; null: a token of this scope may yet run. */
function roundOver(state: HotState, scope: string): string | null {
  const elements = scope === "" ? [] : scope.split("/");
  const rounds = elements.map((_, i) => elements.slice(0, i + 1).join("/"));
  const gone = rounds.find((round) => !state.isCurrent(round));
  if (gone === undefined) {
    return null;
  }
  const [loop, round] = roundOf(gone);
  const last = state.rounds.get(Number(loop.slice(loop.lastIndexOf("/") + 1))) ?? "";
  const [lastLoop, lastRound] = roundOf(last.replace(/^e/, ""));
  const isOver = lastLoop === loop && (last.startsWith("e") || lastRound > round);
  return isOver ? gone : null;
}

/** A loop, within the rounds that it is in, and the number of its round. */
function roundOf(scope: string): [string, number] {
  const colon = scope.lastIndexOf(":");
  return [scope.slice(0, colon), Number(scope.slice(colon + 1))];
}

function isExecution(event: string): boolean {
  return event.startsWith("node.") && event !== "node.skipped";
}

function isWithin(scope: string, round: string): boolean {
  return scope === round || scope.startsWith(`${round}/`);
}

/** The journal as earlier redrives have left it. */
function effectiveJournal(ir: Ir, journal: readonly Placed[]): Placed[] {
  let list: Placed[] = [];
  for (const placed of journal) {
    const { e, rd } = placed.transition;
    if (e === "run.redriven" && rd !== undefined) {
      list = withoutUndone(ir, list, new Set(rd.u)).kept;
    } else {
      list.push(placed);
    }
  }
  return list;
}

function undoneBy(ir: Ir, effective: readonly Placed[], wish: RedriveWish): Set<string> {
  const undone = new Set<string>();
  const only = wish.only?.map((name) => placeOf(ir, effective, name));
  for (const { transition } of effective) {
    if (isUnhandled(transition)) {
      const key = keyOf(transition);
      const isWanted = only === undefined || only.includes(key) || endsRun(ir, transition);
      undone.delete(key);
      if (isWanted) {
        undone.add(key);
      }
    }
  }
  const named = [
    ...(wish.from ?? []),
    ...Object.keys(wish.set ?? {}),
    ...Object.keys(wish.inputs ?? {}),
  ];
  named.forEach((name) => undone.add(placeOf(ir, effective, name)));
  openTokens(ir, effective).forEach((key) => undone.add(key));
  return undone;
}

/** Tokens that were under way, beyond a first attempt that has just been made ready. */
function openTokens(ir: Ir, effective: readonly Placed[]): string[] {
  const { state } = withoutUndone(ir, effective, new Set());
  return [...state.tokens].flatMap(([node, token]) => {
    const isFresh = token.attempt === 1 && (token.state === "a" || token.state === "r");
    const isDelay = token.state === "w" && token.timer?.kind === "resume";
    const isUnderWay = "arwmg".includes(token.state) && (!isFresh || token.isResumed) && !isDelay;
    return isUnderWay && state.isCurrent(token.scope) ? [tokenKey(node, token.scope)] : [];
  });
}

/** Nodes with effects that a worker may have begun, though the journal has no end of them. */
function begunNodes(ir: Ir, effective: readonly Placed[]): number[] {
  const { state } = withoutUndone(ir, effective, new Set());
  return [...state.tokens].flatMap(([node, token]) => {
    const type = ir.nodes[node]?.type ?? "";
    const isBegun = TOLD.has(type) ? token.state === "m" : token.state === "a";
    return isBegun && EFFECTS.has(type) && state.isCurrent(token.scope) ? [node] : [];
  });
}

/** In a map it is the element's failure. */
function isUnhandled({ e, x = "", m }: Transition): boolean {
  return e === "node.failed" && m === undefined && !x.includes("L");
}

/** Failures whose out-edges were never decided: without them undone, the run could not go on. */
function endsRun(ir: Ir, { n = -1, x = "" }: Transition): boolean {
  const hasEdges = (ir.nodes[n]?.out.length ?? 0) > 0;
  return ir.settings.failure === "fail_fast" || (x === "" && hasEdges);
}

function keyOf({ n = -1, s = "" }: Transition): string {
  return tokenKey(n, s);
}

function indexOf(ir: Ir, name: string): number {
  const id = name.split("@", 1)[0] ?? name;
  const index = ir.nodes.findIndex((node) => node.id === id);
  if (index < 0) {
    const near = nearestName(
      id,
      ir.nodes.filter(({ synthetic }) => synthetic !== true).map((node) => node.id),
    );
    const hint = near === undefined ? "" : `; did you mean ${near}?`;
    throw new GavotteError("GV_BAD_INPUT", `the workflow has no node "${id}"${hint}`);
  }
  return index;
}

/**
 * The token that a name means: of a node in a loop the last, unless its scope is named; of a node in a
 * map that map's, because its elements run again together.
 */
function placeOf(ir: Ir, effective: readonly Placed[], name: string): string {
  const given = name.includes("@") ? name.slice(name.indexOf("@") + 1) : null;
  const map = outermostMap(given ?? "");
  const index = map?.node ?? indexOf(ir, name);
  const wanted = map?.scope ?? given;
  const last = effective.findLast(({ transition: { n, s, e, m } }) => {
    const isToken = n === index && m === undefined && isExecution(e);
    return isToken && (wanted === null || (s ?? "") === wanted);
  });
  if (last !== undefined) {
    return keyOf(last.transition);
  }
  const open = withoutUndone(ir, effective, new Set()).state.tokens.get(index);
  if (open?.state === "a" && (wanted === null || open.scope === wanted)) {
    return tokenKey(index, open.scope);
  }
  const message =
    `node "${name}" was not executed in this run, or not again since it was undone: ` +
    "there is nothing to undo";
  throw new GavotteError("GV_BAD_INPUT", message);
}

/** Attempts of child runs go on counting. */
function countOn(ir: Ir, state: HotState, effective: readonly Placed[]): void {
  for (const [node, token] of state.tokens) {
    if (ir.nodes[node]?.type === "subworkflow" && token.state === "a") {
      const tried = effective
        .filter(({ transition }) => keyOf(transition) === tokenKey(node, token.scope))
        .map(({ transition }) => transition.a ?? 0);
      token.attempt = Math.max(0, ...tried) + 1;
    }
  }
}

/** Outputs given by hand; a worker hands them on, because edges need CEL. */
function answersOf(
  ir: Ir,
  state: HotState,
  wish: RedriveWish,
  keep: (given: Json) => Json,
): NonNullable<Redriven["set"]> {
  const answers: NonNullable<Redriven["set"]> = {};
  for (const [name, output] of Object.entries(wish.set ?? {})) {
    const [node, token] = startOf(ir, state, name);
    requireFit(ir.nodes[node] as IrNode, "output", output);
    const { by, why } = wish;
    const more = why === undefined ? {} : { why };
    token.answer = { kind: "manual", action: "complete", output: keep(output), by, ...more };
    token.isResumed = true;
    answers[node] = token.answer;
  }
  return answers;
}

/** The token of a node that starts at once. Throws GV_BAD_INPUT if it does not. */
function startOf(ir: Ir, state: HotState, name: string): [number, HotToken] {
  const node = indexOf(ir, name);
  const token = state.tokens.get(node);
  if (token?.state !== "a") {
    const message = `node "${name}" stands behind another one that runs again: it does not start yet`;
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  return [node, token];
}

function previewOf(
  ir: Ir,
  { kept, dropped, state }: Filtered,
  begun: readonly number[],
  { set = {} }: RedriveWish,
): RedrivePreview {
  const given = Object.keys(set).map((name) => ir.nodes[indexOf(ir, name)]?.id ?? name);
  const ids = (indexes: Iterable<number>): string[] =>
    [...new Set(indexes)]
      .map((index) => ir.nodes[index] as IrNode | undefined)
      .flatMap((node) => (node === undefined || node.synthetic === true ? [] : [node.id]));
  const open = [...state.tokens].filter(
    ([, token]) => "arwk".includes(token.state) && state.isCurrent(token.scope),
  );
  const starts = open.map(([node]) => node);
  const ends = new Set(["node.completed", "node.failed", "node.retrying", "node.parked"]);
  const again = dropped
    .filter(({ transition }) => ends.has(transition.e))
    .map(({ transition }) => ownerOf(transition))
    .filter(({ scope }) => roundOver(state, scope) === null)
    .map(({ node }) => node);
  const results = kept.filter(({ transition: { e, m } }) => e === "node.completed" && !m);
  const isStarted = new Set(starts);
  const isRun = (id: string): boolean => !given.includes(id);
  const effects = ids(again.filter((node) => EFFECTS.has(ir.nodes[node]?.type ?? "")));
  return {
    starts: ids(starts).filter(isRun),
    again: ids(again.filter((node) => !isStarted.has(node))),
    kept: ids(results.map(({ transition }) => transition.n ?? -1)).filter(
      (id) => !ids(again).includes(id),
    ),
    effects: effects.filter(isRun),
    uncertain: ids(begun).filter((id) => isRun(id) && !effects.includes(id)),
    given,
  };
}
