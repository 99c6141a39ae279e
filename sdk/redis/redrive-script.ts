/** Typed call of scripts/redrive_run.lua. */
import { executesNothing, packEntry, timerMember } from "../entry.ts";
import { commonQueueKey } from "../keys.ts";
import { hotFields } from "../hot-fields.ts";
import type { HotState } from "../hot-state.ts";
import type { HotToken } from "../hot-tokens.ts";
import type { Transition } from "../journal.ts";
import { queueLimits, type RunProfile } from "../profile.ts";
import { packWait } from "../waits.ts";
import { PAUSE_CAUSES } from "./pause-scripts.ts";
import type { ScriptArg, ScriptRunner } from "./script-runner.ts";
import { START_WINDOW_MS, TOMBSTONE_MS } from "./run-scripts.ts";

export interface RunRedrive {
  runId: string;
  /** Given to this redrive alone by Postgres. */
  epoch: number;
  /** Redis time after which it is refused, read before the epoch was asked for. */
  notAfterMs: number;
  profile: RunProfile;
  state: HotState;
  /** The run's input, JSON text. */
  input: string;
  /** Further fields of the run hash. */
  fields: { [field: string]: string };
  /** `run.redriven`; its `at` says which attempt of the run it is: each is begun once. */
  told: Transition;
  /** The key under which its large outputs are (sdk/staged-blobs.ts); null: it has none. */
  staged?: string | null;
  /** It goes on paused, because its workflow is. */
  paused?: boolean;
}

/**
 * `exists`: not released yet, or alive. `superseded` (its attempt was begun by another), `late`: it
 * must be planned anew.
 */
export type RedriveAnswer =
  { kind: "redriven" | "superseded" | "late" } | { kind: "exists"; status: string };

/** Puts the run into Redis as the plan has it. Throws when the partition's epoch has changed. */
export async function redriveRun(
  scripts: ScriptRunner,
  redrive: RunRedrive,
): Promise<RedriveAnswer> {
  const { runId, epoch, profile, state, told } = redrive;
  const k = scripts.keys;
  const keys = [k.ev, k.meta, k.timers, k.release, k.redriven(runId), k.run(runId)];
  keys.push(k.signals(runId), k.paused, k.blobs(runId), redrive.staged ?? k.blobs(runId));
  const base = keys.length + 1;
  keys.push(...profile.queueKeys, commonQueueKey(profile.queueKeys[0] as string));
  const place = { namespace: profile.namespace, priority: profile.priority };
  const fields = hotFields(state, { epoch, irHash: profile.irHash, input: null, ...place });
  Object.assign(fields, redrive.fields, { in: redrive.input, at: String(told.at ?? 1) });
  const limits = queueLimits(profile.ir);
  if (limits !== "") {
    fields["qt"] = limits;
  }
  const { timers, entries } = emissions(redrive, fields, base);
  const signals = state.signals.fields(() => null);
  const args: ScriptArg[] = [scripts.nonce(), runId, epoch, redrive.notAfterMs, TOMBSTONE_MS];
  args.push(profile.ir.settings.timeout_ms ?? 0, JSON.stringify(told));
  args.push(redrive.paused === true ? PAUSE_CAUSES.workflow : "", told.at ?? epoch);
  for (const list of [Object.entries(fields).flat(), Object.entries(signals).flat()]) {
    args.push(list.length, ...list);
  }
  args.push(timers.length, ...timers, entries.length, ...entries);
  const options = { sameEpoch: true };
  const reply = (await scripts.transition("redriveRun", keys, args, options)) as [number, string];
  const [code, status] = reply;
  if (code === -10) {
    return { kind: "exists", status };
  }
  return { kind: code === 0 ? "redriven" : code === -11 ? "superseded" : "late" };
}

/** Timers to arm and entries to add for tokens that are open. */
function emissions(
  { runId, epoch, profile, state, notAfterMs, paused }: RunRedrive,
  fields: { [field: string]: string },
  base: number,
): { timers: ScriptArg[]; entries: ScriptArg[] } {
  const timers: ScriptArg[] = [];
  const entries: ScriptArg[] = [];
  for (const [node, token] of state.tokens) {
    const queue = profile.ir.nodes[node]?.queue ?? 0;
    const queueKey = profile.queueKeys[queue] as string;
    const at = { runId, epoch, node, scope: token.scope, attempt: token.attempt };
    if (!state.isCurrent(token.scope)) {
      continue;
    }
    if (token.timer !== null) {
      const member = timerMember({ kind: token.timer.kind, ...at, queue: queueKey });
      fields[`d${node}`] = member;
      timers.push(token.timer.dueMs, member);
    }
    if (token.state === "w" && token.wait !== undefined) {
      fields[`w${node}`] = packWait(token.wait, queueKey);
    } else if (token.state === "a" || token.state === "k") {
      const content = contentOf(token);
      const isForAll = executesNothing(content.kind, token.answer);
      const packed = packEntry({ ...at, irHash: profile.irHash, ...content });
      entries.push(base + (isForAll ? profile.queueKeys.length : queue), packed);
      const maxMs = profile.ir.nodes[node]?.queue_timeout_ms;
      // Of what is held the time in the queue begins when the run is resumed.
      const counts = paused !== true && token.state === "a" && token.answer === undefined;
      if (maxMs !== undefined && counts) {
        const member = timerMember({ kind: "late", ...at, queue: commonQueueKey(queueKey) });
        fields[`d${node}`] = member;
        timers.push(notAfterMs - START_WINDOW_MS + maxMs, member);
      }
    }
  }
  return { timers, entries };
}

function contentOf(token: HotToken): {
  kind: "run" | "answered" | "skip";
  arrivals: string;
  payload: string;
} {
  if (token.state === "k") {
    return { kind: "skip", arrivals: "", payload: token.rest };
  }
  const { answer, rest } = token;
  return answer === undefined
    ? { kind: "run", arrivals: rest, payload: "" }
    : { kind: "answered", arrivals: rest, payload: JSON.stringify(answer) };
}
