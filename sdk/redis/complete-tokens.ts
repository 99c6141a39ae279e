/** Typed call of scripts/complete_tokens.lua. */
import { putBlobs, type NewBlob } from "../blobs.ts";
import type { EffectPlan } from "../plan.ts";
import type { RunProfile } from "../profile.ts";
import { parseUnit } from "../unit.ts";
import type { WaitInfo } from "../waits.ts";
import { encodeCompletion } from "./encode-completion.ts";
import type { ScriptRunner } from "./script-runner.ts";

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
  /**
   * With `keeps`: how many takeovers the caller knew of when it got the entry; if there were none
   * since, it is still the caller's. Absent: whose it is has to be looked up.
   */
  takeovers?: number;
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

/** Unchanged, and to be sent again in its general form; callers never see it. */
const NOT_SIMPLE = -8;

export interface Completed {
  /** One COMPLETION code per item, in order; NaN: not known, as it was not sent or not answered. */
  codes: number[];
  /** Takeovers of entries in the partition so far, see `CompletionItem.takeovers`; -1: not known. */
  takeovers: number;
  /** Why codes are not known; null: all are. */
  error: unknown;
}

/**
 * Settles a batch; the reply has one COMPLETION code per item, in order. `consumer` names the caller
 * in the consumer groups of the items' entries; "" owns none, so an entry that is refused stays.
 * Throws if one of the codes is not known.
 */
export async function completeTokens(
  scripts: ScriptRunner,
  items: readonly CompletionItem[],
  consumer = "",
): Promise<number[]> {
  const { codes, error } = await completeBatch(scripts, items, consumer);
  if (error !== null) {
    throw error as Error;
  }
  return codes;
}

/** The same, with what the caller needs for its chains. Never fails: see `Completed.error`. */
export async function completeBatch(
  scripts: ScriptRunner,
  items: readonly CompletionItem[],
  consumer: string,
): Promise<Completed> {
  const codes = new Array<number>(items.length).fill(Number.NaN);
  const completed: Completed = { codes, takeovers: -1, error: null };
  const since = scripts.knownEpoch;
  const send = async (places: readonly number[], simple: boolean): Promise<void> => {
    const sent = places.map((i) => items[i] as CompletionItem);
    const { keys, args: batch, order } = encodeCompletion(scripts, sent, simple);
    const args = [scripts.nonce(), consumer, ...batch];
    const reply = await scripts.transition("completeTokens", keys, args, { since });
    const [takeovers, ...told] = reply as number[];
    // Of the first call: what was taken over before the second is not told to the first one's items.
    completed.takeovers = completed.takeovers < 0 ? (takeovers as number) : completed.takeovers;
    order.forEach((at, i) => (codes[places[at] as number] = told[i] as number));
  };
  try {
    await send(await keepBlobs(scripts, items, completed), true);
    const again = [...codes.keys()].filter((i) => codes[i] === NOT_SIMPLE);
    if (again.length > 0) {
      again.forEach((i) => (codes[i] = Number.NaN));
      await send(again, false);
    }
  } catch (error) {
    completed.error = error;
  }
  return completed;
}

/** Keeps the items' large outputs; returns the places of the items that can be sent now. */
async function keepBlobs(
  scripts: ScriptRunner,
  items: readonly CompletionItem[],
  completed: Completed,
): Promise<number[]> {
  const places = [...items.keys()];
  if (items.every(({ blobs }) => blobs === undefined)) {
    return places;
  }
  const kept = await Promise.allSettled(
    items.map(async ({ runId: unit, epoch, blobs = [] }) => {
      await putBlobs(scripts, { runId: parseUnit(unit).runId, epoch }, blobs);
    }),
  );
  completed.error = kept.find((one) => one.status === "rejected")?.reason ?? null;
  return places.filter((i) => kept[i]?.status === "fulfilled");
}
