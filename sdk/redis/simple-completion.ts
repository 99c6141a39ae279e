/**
 * The short form of a completion (scripts/include/complete_simple.lua): what most steps are.
 *
 * A token that completed at top level on its first attempt and leads to plain activations or to
 * live arrivals at joins that wait for all: what is written for it is put together here, once, so
 * that the script - one thread for everybody - has next to nothing left to do.
 */
import type { EffectPlan } from "../plan.ts";
import type { RunProfile } from "../profile.ts";
import type { CompletionItem, CompletionResult } from "./complete-tokens.ts";

/** An item in its short form. */
export interface SimpleItem {
  item: CompletionItem;
  /** Field of the token's record, and the record. */
  field: string;
  record: string;
  /** The transitions, as they stand in the journal. */
  text: string;
  /** Change of the run's counter. */
  delta: number;
  /** Records of the pure nodes evaluated after it: field, value each. */
  extras: string[];
  /** Effects of its results on others, each with the output that its successors get. */
  effects: readonly { on: SimpleEffects; value: string }[];
  /** Set if it leads to one token and changes no other: that, and its input. */
  step: { to: Activation; input: string } | null;
  /** The run's end, as it stands in the journal: set if it leads nowhere, and no other node does. */
  end: string | null;
  keeps: boolean;
}

export interface Activation {
  field: string;
  /** Index into the workflow's queues. */
  queue: number;
  /** Of the entry: what stands between its run and epoch and its payload. */
  middle: string;
}

interface Arrival {
  value: "L" | "D";
  node: number;
  queue: number;
  /** Which of the join's in-edges, of how many. */
  position: number;
  arity: number;
}

/** What arrives at one join. */
export interface JoinArrivals {
  node: number;
  queue: number;
  arity: number;
  live: number;
  arrived: number;
  /** In-edges that stand together. */
  stretches: [first: number, values: string][];
}

export interface SimpleEffects {
  activations: readonly Activation[];
  arrivals: readonly Arrival[];
  /** Results of the same item that follow. */
  fused: number;
}

/** Longer outputs are sent once, not three times. */
const VALUE_MAX = 1024;
const EFFECT_FIELDS = 8;
/** Fields and values beside the token's own are written in one call: as the script's stack allows. */
const EXTRAS_MAX = 512;
const known = new WeakMap<EffectPlan, SimpleEffects | null>();

/** The item's short form; null if it has none. */
export function simpleItem(item: CompletionItem): SimpleItem | null {
  const { results, profile, runId, blobs } = item;
  const isUsual = results.length > 0 && blobs === undefined && !profile.flags.includes(";");
  if (!isUsual || runId.includes("!")) {
    return null;
  }
  const begin = `{"r":"${runId}","e":"node.completed","n":`;
  const extras: string[] = [];
  const effects: { on: SimpleEffects; value: string }[] = [];
  let text = "";
  let delta = 0;
  for (const [i, result] of results.entries()) {
    const { node, value } = result;
    const on = isPlain(result) ? effectsOf(result.plan, profile.irHash) : null;
    if (on === null) {
      return null;
    }
    if (on.activations.length > 0 || on.arrivals.length > 0) {
      effects.push({ on, value });
    }
    delta += on.activations.length + on.fused - 1;
    const more = `${result.extra},"x":"${result.edges}","o":${value}}`;
    text += `${i === 0 ? "" : ",\n"}${begin}${node},"s":"","a":1${more}`;
    if (i > 0) {
      extras.push(`n${node}`, `c1||${value}`);
    }
  }
  const { node, value } = results[0] as CompletionResult;
  const [only] = effects;
  const isShort = extras.length <= EXTRAS_MAX;
  const isOne = isShort && delta === 0 && effects.length === 1 && only?.on.arrivals.length === 0;
  const to = isOne ? only.on.activations[0] : undefined;
  const step = to === undefined ? null : { to, input: only?.value ?? "" };
  const isLast = isShort && delta === -1 && only === undefined;
  const end = isLast && mayEnd(profile) ? `{"r":"${runId}","e":"run.completed"}` : null;
  const keeps = item.keeps === true;
  const record = `c1||${value}`;
  return { item, field: `n${node}`, record, text, delta, extras, effects, step, end, keeps };
}

/**
 * Whether a run is over with a node that leads nowhere, as far as that is known here: of several such
 * nodes only the last one to end ends it, and an output of its own has yet to be worked out.
 */
function mayEnd({ ir, flags }: RunProfile): boolean {
  return ir.analysis.leaves.length === 1 && !flags.includes("o");
}

function isPlain({ op, scope, attempt, gathered, value }: CompletionResult): boolean {
  const isFirst = op === "C" && scope === "" && attempt === 1 && gathered === undefined;
  return isFirst && value.length <= VALUE_MAX;
}

function effectsOf(plan: EffectPlan, irHash: string): SimpleEffects | null {
  let effects = known.get(plan);
  if (effects === undefined) {
    effects = readEffects(plan, irHash);
    known.set(plan, effects);
  }
  return effects;
}

/** Plans are made per workflow, so the hash is always the same for one of them. */
function readEffects(plan: EffectPlan, irHash: string): SimpleEffects | null {
  const { plain, args } = plan;
  const activations: Activation[] = [];
  for (let i = 0; i < plain.length; i += 2) {
    const node = plain[i] as string;
    const middle = `\x1f${node}\x1f\x1f1\x1f${irHash}\x1f\x1f\x1f=`;
    activations.push({ field: `n${node}`, queue: Number(plain[i + 1]), middle });
  }
  const arrivals: Arrival[] = [];
  let fused = 0;
  for (let i = 0; i < args.length; i += EFFECT_FIELDS) {
    const [type = "", node, depth, suffix, queue, position, need, arity] = args.slice(i);
    if (type === "F" && depth === "0") {
      fused += 1;
    } else if ((type === "L" || type === "D") && depth === "0" && suffix === "" && need === "0") {
      const [at, ofAll] = [Number(position), Number(arity)];
      arrivals.push({
        value: type,
        node: Number(node),
        queue: Number(queue),
        position: at,
        arity: ofAll,
      });
    } else {
      return null;
    }
  }
  return { activations, arrivals, fused };
}

/** What a group's items bring to joins, by join. */
export function joinsOf(group: readonly SimpleItem[]): JoinArrivals[] {
  const byNode = new Map<number, Arrival[]>();
  for (const { on } of group.flatMap(({ effects }) => effects)) {
    for (const arrival of on.arrivals) {
      const known = byNode.get(arrival.node);
      if (known === undefined) {
        byNode.set(arrival.node, [arrival]);
      } else {
        known.push(arrival);
      }
    }
  }
  return [...byNode.values()].map(joinOf);
}

function joinOf(arrivals: Arrival[]): JoinArrivals {
  const { node, queue, arity } = arrivals[0] as Arrival;
  const stretches: [first: number, values: string][] = [];
  let live = 0;
  for (const { position, value } of arrivals.sort((a, b) => a.position - b.position)) {
    live += value === "L" ? 1 : 0;
    const last = stretches.at(-1);
    if (last !== undefined && last[0] + last[1].length === position) {
      last[1] += value;
    } else {
      stretches.push([position, value]);
    }
  }
  return { node, queue, arity, live, arrived: arrivals.length, stretches };
}
