/** Typed calls of the scripts that end waits: signals, callbacks, decisions. */
import type { Json } from "../../compiler/ir.ts";
import { BlobTaker } from "../blobs.ts";
import { parseWait, type WaitAddress, type WaitAnswer, type WaitInfo } from "../waits.ts";
import type { ScriptRunner } from "./script-runner.ts";

/** What became of a signal. */
export type SignalOutcome =
  /** A waiting token goes on with it. */
  | "delivered"
  /** Nobody waits for it yet: the next one who does takes it. */
  | "kept"
  /** The run has accepted this id before. */
  | "repeated"
  /** Not in Redis: not started, or over and released. */
  | "gone"
  | "ended"
  /** As many signals are kept as may be. */
  | "full"
  | "too_large"
  /** The run is being repaired: send it again. */
  | "busy";

const SIGNAL_OUTCOMES: { [code: string]: SignalOutcome } = {
  0: "delivered",
  1: "kept",
  2: "repeated",
  "-1": "gone",
  "-2": "ended",
  "-3": "full",
  "-4": "too_large",
  "-6": "busy",
};
const AGAIN = -5;
const ANSWER_AGAIN = -9;

export interface Signal {
  runId: string;
  /** Accepted once per run. */
  id: string;
  name: string;
  data: Json;
}

/**
 * Sends a signal. Whether the run waits for that name at all, and whether the payload fits, is for
 * the caller to check: the script has no workflow.
 */
export async function signalRun(scripts: ScriptRunner, signal: Signal): Promise<SignalOutcome> {
  const k = scripts.keys;
  const { runId, id, name, data } = signal;
  const large = new BlobTaker();
  const value: WaitAnswer = { kind: "signal", name, id, data: large.value(data) };
  const keys = [k.ev, k.meta, k.timers, k.run(runId), k.signals(runId)];
  keys.push(...large.keys(k.blobs(runId)));
  for (;;) {
    // One call passes by a bounded number of places that were given up.
    const args = [scripts.nonce(), runId, id, name, JSON.stringify(value), ...large.pairs()];
    const code = (await scripts.transition("signalRun", keys, args)) as number;
    if (code !== AGAIN) {
      return SIGNAL_OUTCOMES[String(code)] ?? "gone";
    }
  }
}

/** What became of a callback or a decision. */
export type AnswerOutcome =
  /** The token goes on. */
  | "done"
  /** Recorded; more approvals are needed. */
  | "recorded"
  /** Recorded before. */
  | "repeated"
  | "gone"
  | "ended"
  /** Used before, out of time, or answered in another way. */
  | "over"
  | "not_assigned"
  /** This person has decided otherwise. */
  | "decided"
  | "busy"
  /** A callback's token names an approval, or the other way round. */
  | "other_kind"
  | "too_large";

const ANSWER_OUTCOMES: { [code: string]: AnswerOutcome } = {
  0: "done",
  1: "recorded",
  2: "repeated",
  "-1": "gone",
  "-2": "ended",
  "-3": "over",
  "-4": "not_assigned",
  "-5": "decided",
  "-6": "busy",
  "-7": "other_kind",
  "-8": "too_large",
};

/** Answers a `wait` by its own address, once. `id` names the call: repeated, it is the same one. */
export function callbackWait(
  scripts: ScriptRunner,
  at: WaitAddress,
  call: { id: string; data: Json },
): Promise<AnswerOutcome> {
  const large = new BlobTaker();
  const value: WaitAnswer = { kind: "callback", ...call, data: large.value(call.data) };
  return answer(scripts, at, "c", call.id, JSON.stringify(value), large);
}

/** One person's decision on an approval. */
export function decideApproval(
  scripts: ScriptRunner,
  at: WaitAddress,
  decision: { actor: string; approved: boolean; data: Json },
): Promise<AnswerOutcome> {
  const mode = decision.approved ? "1" : "0";
  const large = new BlobTaker();
  const data = large.text(JSON.stringify(decision.data));
  return answer(scripts, at, mode, decision.actor, data, large);
}

async function answer(
  scripts: ScriptRunner,
  at: WaitAddress,
  mode: "c" | "0" | "1",
  who: string,
  data: string,
  large: BlobTaker,
): Promise<AnswerOutcome> {
  const k = scripts.keys;
  const { unit, runId, node, secret } = at;
  for (;;) {
    // Of a wait that is over, or is not there yet because its run is being put back, there is none.
    const open = parseWait(await scripts.redis.hget(k.run(unit), `w${node}`));
    const keys = [k.ev, k.meta, k.timers, k.run(runId), k.run(unit), k.signals(runId)];
    keys.push(open?.queueKey ?? k.run(unit), ...large.keys(k.blobs(runId)));
    const args = [scripts.nonce(), unit, node, secret, mode, JSON.stringify(who), data];
    args.push(...large.pairs());
    const code = (await scripts.transition("answerWait", keys, args)) as number;
    if (code !== ANSWER_AGAIN) {
      return ANSWER_OUTCOMES[String(code)] ?? "gone";
    }
  }
}

/** What the token with this address waits for; null: it waits no more, or for something else. */
export async function readWait(scripts: ScriptRunner, at: WaitAddress): Promise<WaitInfo | null> {
  const field = await scripts.redis.hget(scripts.keys.run(at.unit), `w${at.node}`);
  const open = parseWait(field);
  return open !== null && open.secret === at.secret ? open.wait : null;
}
