/** Typed call of scripts/complete_tokens.lua. */
import { putBlobs, type NewBlob } from "../blobs.ts";
import type { PartitionKeys } from "../keys.ts";
import type { EffectPlan } from "../plan.ts";
import type { RunProfile } from "../profile.ts";
import { unitsAround } from "../unit.ts";
import { waitFacts, type WaitInfo } from "../waits.ts";
import type { ScriptArg, ScriptRunner } from "./script-runner.ts";

/**
 * What became of a token:
 * C completed · A completed, another round after `delayMs` · F failed, an edge handles it · U failed
 * unhandled under `continue` · X failed unhandled, the run ends · R failed, retried after `delayMs`
 * · P parked for `delayMs` · W parked until resumed, `delayMs` at most · S a skipped join's dead
 * region is spread · Z the output of an element, evaluated (edges L, value is the output) or not
 * (edges X, value is the error value).
 */
export type CompletionOp = "C" | "A" | "F" | "U" | "X" | "R" | "P" | "W" | "S" | "Z";

export interface CompletionResult {
  node: number;
  scope: string;
  attempt: number;
  op: CompletionOp;
  /** JSON text: output (C, A), error value `{"error":…}` (F, U, X, R); D or X (S); "" (P, W). */
  value: string;
  /** Values of the out-edges, in the order of `IrNode.out`. */
  edges: string;
  /** More members for the journal's transition, as JSON text that begins with a comma, or "". */
  extra: string;
  /** W: 0 waits for ever. */
  delayMs: number;
  /** W: what it waits for. */
  wait?: WaitInfo;
  plan: EffectPlan;
  /** Of a map that has its results: accepted only while it waits to be collected. */
  gathered?: true;
}

export interface CompletionItem {
  profile: RunProfile;
  /** The unit of the tokens: a run, or an element of a map. */
  runId: string;
  epoch: string;
  /** Queue (index into the IR's) of the first result's node; its timers name it. */
  queue: number;
  /** Stream entry to acknowledge; null if the token has none. */
  entryId: string | null;
  /** The stream that the entry stands in, if it is that of entry nodes; default the queue's. */
  entryKey?: string;
  /**
   * The caller goes on with the one token that the item activates, on the same entry (21 A11): it
   * is not emitted, and the reply says whether the entry is still the caller's.
   */
  keeps?: boolean;
  /** Large outputs among the results, which refer to them: kept before the item is sent. */
  blobs?: NewBlob[];
  /** The token, then the pure nodes evaluated after it. Empty: only acknowledge. */
  results: CompletionResult[];
}

/** What became of an item. */
export const COMPLETION = {
  done: 0,
  /** Done, and the run waits for its output: call finishRun. */
  finish: 1,
  /** Done, and the caller goes on with the chain. */
  goOn: 2,
  /** Done, and the chain's entry is another worker's by now, who goes on with it. */
  entryLost: 3,
  runGone: -1,
  runEpoch: -2,
  tokenNotActive: -3,
  attemptStale: -4,
  /** Nothing changed, not acknowledged. */
  planFailed: -5,
  /** Partly written; the journal says so and a supervisor repairs the run. */
  applyFailed: -6,
  /** Refused like tokenNotActive, but the entry is the caller's: what does it stand for by now? */
  entryYours: -7,
} as const;

/**
 * Settles a batch; the reply has one COMPLETION code per item, in order. `consumer` names the caller
 * in the consumer groups of the items' entries; "" owns none, so an entry that is refused stays.
 */
export async function completeTokens(
  scripts: ScriptRunner,
  items: readonly CompletionItem[],
  consumer = "",
): Promise<number[]> {
  if (items.some((item) => item.blobs !== undefined)) {
    await putBlobs(
      scripts,
      items.flatMap((item) => item.blobs ?? []),
    );
  }
  const { keys, args } = encodeCompletion(scripts, items, consumer);
  const reply = (await scripts.transition("completeTokens", keys, args)) as number[];
  return reply.slice(1);
}

/** KEYS and ARGV (without the epoch) of one call. */
export function encodeCompletion(
  scripts: ScriptRunner,
  items: readonly CompletionItem[],
  consumer: string,
): { keys: string[]; args: ScriptArg[] } {
  const k = scripts.keys;
  const keys = [k.ev, k.meta, k.timers, k.halted, k.release];
  const runs = new Map<string, number>();
  const bases = new Map<string, number>();
  for (const item of items) {
    if (!runs.has(item.runId)) {
      declare(item.runId, keys, runs, k);
    }
  }
  for (const { profile } of items) {
    if (!bases.has(profile.key)) {
      bases.set(profile.key, keys.length + 1);
      for (const queue of profile.queueKeys) {
        keys.push(queue);
      }
    }
  }
  const signals = new Map<string, number>();
  const signalsOf = (unit: string): number => {
    const key = k.signals(unit.split("!", 1)[0] as string);
    const known = signals.get(key) ?? keys.push(key);
    signals.set(key, known);
    return known;
  };
  const args: ScriptArg[] = [scripts.nonce(), consumer, bases.size];
  const places = new Map<string, number>();
  for (const { profile } of items) {
    if (!places.has(profile.key)) {
      args.push(profile.irHash, profile.flags, bases.get(profile.key) as number);
      places.set(profile.key, places.size + 1);
    }
  }
  args.push(items.length);
  const entryKeys = new Map<string, number>();
  for (const item of items) {
    const isElement = item.runId.includes("!");
    const key = runs.get(item.runId) as number;
    args.push(isElement ? -key : key, item.runId, item.epoch);
    const entry = item.keeps === true ? `+${item.entryId ?? ""}` : (item.entryId ?? "");
    const { profile, queue, entryKey } = item;
    let stream = (bases.get(profile.key) as number) + queue;
    if (entryKey !== undefined) {
      stream = entryKeys.get(entryKey) ?? keys.push(entryKey);
      entryKeys.set(entryKey, stream);
    }
    args.push(places.get(profile.key) as number, queue, stream, entry);
    args.push(item.results.length);
    for (const r of item.results) {
      const { plain, args: others, closure } = r.plan;
      const rest = r.op === "R" || r.op === "P" || r.op === "A" ? r.delayMs : closure;
      const op = r.gathered === true ? r.op.toLowerCase() : r.op;
      args.push(r.node, r.scope, r.attempt, op + r.edges);
      if (r.wait === undefined) {
        args.push(r.value, r.extra, rest);
      } else {
        const place = r.wait.signal === undefined ? 0 : signalsOf(item.runId);
        const facts = `${r.delayMs}\x1f${place}\x1f${waitFacts(r.wait)}`;
        args.push(JSON.stringify(r.wait), r.extra, facts);
      }
      args.push(plain.length / 2, ...plain, others.length / 8, ...others);
    }
  }
  return { keys, args };
}

/** Adds the unit's key and, for an element, those of what is around it up to its run. */
function declare(unit: string, keys: string[], at: Map<string, number>, k: PartitionKeys): void {
  for (const name of unitsAround(unit)) {
    if (!at.has(name)) {
      at.set(name, keys.push(k.run(name)));
    }
  }
}
