/** Typed calls of the scripts that start, finish, cancel, time out and release runs. */
import type { NewBlob } from "../blobs.ts";
import { commonQueueKey } from "../keys.ts";
import type { RunProfile } from "../profile.ts";
import type { RunError } from "../status.ts";
import { unitsAround } from "../unit.ts";
import { unlessForeign } from "./foreign-keys.ts";
import { packBatch } from "./pack-batch.ts";
import { PAUSE_CAUSES } from "./pause-scripts.ts";
import { runStart } from "./run-start.ts";
import type { ScriptArg, ScriptRunner } from "./script-runner.ts";
import type { Guard } from "./write-anyway.ts";

/** Timers a script can fire in one call, and runs it can start or release. */
export const SCRIPT_BATCH_MAX = 500;
/** How long a tombstone refuses a late start; a start is late after less than half of that. */
export const TOMBSTONE_MS = 120_000;
export const START_WINDOW_MS = 30_000;

export interface RunStart {
  profile: RunProfile;
  runId: string;
  epoch: number;
  /** The run's input as JSON text; of a large one the reference. */
  input: string;
  /** What it refers to; absent: nothing. */
  blobs?: readonly NewBlob[];
  /** Redis time after which the start is refused: START_WINDOW_MS after the row was read. */
  notAfterMs: number;
  /** JSON text: which workflows the references of its tree mean; null: it has none. */
  bindings?: string | null;
  /** Starts paused, because its workflow is. */
  paused?: boolean;
  /** JSON text of the fields that it begins with in the middle (start-state.ts); null: it does not. */
  start?: string | null;
}

export const START = { started: 0, exists: -10, ended: -11, tooLate: -12 } as const;

/**
 * Starts runs of this partition; one START code per run. Throws when its epoch is not `since`, of which
 * the caller had heard before it read the rows: a run may have ended meanwhile, and Redis lost its
 * tombstone. Default: the epoch heard of last.
 */
export async function startRuns(
  scripts: ScriptRunner,
  runs: readonly RunStart[],
  since: string | null = null,
): Promise<number[]> {
  const k = scripts.keys;
  const keys = [k.ev, k.meta, k.timers, k.tombs, k.paused];
  keys.push(...runs.map(({ runId }) => k.run(runId)));
  const queues = new Map<string, number>();
  const list: (string | number)[] = [runs.length, ...runs.map(({ runId }) => runId)];
  for (const run of runs) {
    const { profile, runId, epoch, input, notAfterMs, bindings } = run;
    const start = (run.start ?? null) === null ? {} : { start: run.start as string };
    let first = queues.get(profile.key);
    if (first === undefined) {
      first = keys.length + 1;
      queues.set(profile.key, first);
      keys.push(...profile.entryKeys);
    }
    const more = (bindings ?? "") === "" ? [] : ["sub", bindings as string];
    const paused = run.paused === true ? { paused: PAUSE_CAUSES.workflow } : {};
    list.push(epoch, notAfterMs, run.paused === true ? 1 : 0, startedText(run));
    list.push(...runStart({ profile, runId, epoch, input, more, ...paused, ...start }, first));
  }
  runs.forEach(({ runId, blobs }, i) => {
    const place = blobs === undefined ? 0 : keys.push(k.blobs(runId));
    blobs?.forEach(({ sha256, text }) => list.push(i + 1, place, sha256, text));
  });
  const args = [scripts.nonce(), packBatch(list)];
  const reply = await scripts.transition("startRuns", keys, args, { sameEpoch: true, since });
  return (reply as number[]).slice(1);
}

/** The journal's transitions of a start. */
function startedText({ runId, profile, epoch, paused, start = null }: RunStart): string {
  const inside = start === null ? "" : `,"st":${start}`;
  const begin = `{"r":"${runId}","e":"run.`;
  const started = `${begin}started","ir":"${profile.irHash}","ep":${epoch}${inside}}`;
  return paused === true
    ? `${started},\n${begin}paused","ps":"${PAUSE_CAUSES.workflow}"}`
    : started;
}

/** The scripts' clock: Redis' own time in ms (plus an offset that only tests set). */
export async function redisTimeMs(scripts: ScriptRunner): Promise<number> {
  const [[seconds, micros], clock] = await Promise.all([
    scripts.redis.time(),
    scripts.redis.hget(scripts.keys.meta, "clock"),
  ]);
  return partitionMs([Number(seconds), Number(micros)], clock);
}

/** The time of a partition, ms, from its server's and the field that tests set its clock with. */
export function partitionMs(
  [seconds, micros]: readonly [seconds: number, micros: number],
  clock: string | null,
): number {
  if (clock?.startsWith("=") === true) {
    return Number(clock.slice(1));
  }
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000) + Number(clock ?? 0);
}

export interface FiredTimers {
  /** Members that had been due. */
  due: number;
  fired: number;
  /** When the next member is due (Redis time), null if there is none. */
  nextMs: number | null;
}

/** Fires what is due, at most SCRIPT_BATCH_MAX of it. */
export async function fireTimers(scripts: ScriptRunner): Promise<FiredTimers> {
  const k = scripts.keys;
  const now = await redisTimeMs(scripts);
  const range = ["LIMIT", 0, SCRIPT_BATCH_MAX] as const;
  const members = await scripts.redis.zrangebyscore(k.timers, "-inf", now, ...range);
  let fired = 0;
  if (members.length > 0) {
    const keys = [k.ev, k.meta, k.timers, k.halted, k.release];
    const args: ScriptArg[] = [scripts.nonce(), members.length];
    for (const member of members) {
      const parts = member.split("|");
      const queue = parts.slice(6).join("|");
      const [unit, ...around] = unitsAround(parts[1] ?? "");
      const run = keys.push(k.run(unit ?? ""));
      keys.push(...around.map((name) => k.run(name)));
      const place = queue === "" ? 0 : keys.push(queue);
      const runId = (parts[1] ?? "").split("!", 1)[0] as string;
      args.push(member, run, place, parts[0] === "expire" ? keys.push(k.signals(runId)) : 0);
    }
    const reply = (await scripts.transition("fireTimers", keys, args)) as number[];
    fired = reply.slice(1).filter((code) => code === 0).length;
  }
  const next = await scripts.redis.zrange(k.timers, 0, 0, "WITHSCORES");
  return { due: members.length, fired, nextMs: next[1] === undefined ? null : Number(next[1]) };
}

export interface RunFinish {
  runId: string;
  epoch: string;
  status: "completed" | "failed";
  /** Output JSON, or `{"error":…}`. */
  value: string;
  /** A queue of the run: where the entry stands, if there is one. */
  queueKey: string;
  /** Entry of kind `finish` to acknowledge, if this comes from one. */
  entryId: string | null;
}

/** Ends a run that waits for its output. False: somebody else did, or it is gone. */
export async function finishRun(scripts: ScriptRunner, finish: RunFinish): Promise<boolean> {
  const k = scripts.keys;
  const keys = [k.ev, k.meta, k.timers, k.halted, k.release, k.run(finish.runId), finish.queueKey];
  const member = `finish|${finish.runId}|${finish.epoch}||||${commonQueueKey(finish.queueKey)}`;
  const args = [scripts.nonce(), finish.runId, finish.epoch, finish.status, finish.value];
  args.push(member, finish.entryId ?? "");
  return (await scripts.transition("finishRun", keys, args)) === 0;
}

/** A run as somebody saw it. */
export interface Seen {
  runId: string;
  status: string;
  epoch: string;
}

export type CancelAnswer = "cancelled" | "was_cancelled" | "completed" | "failed" | "gone" | "busy";

const CANCEL_ANSWERS: { [code: string]: CancelAnswer } = {
  0: "cancelled",
  1: "was_cancelled",
  2: "completed",
  3: "failed",
  "-1": "gone",
  "-6": "busy",
};

/**
 * Cancels a run. `gone`: not in Redis; it can no longer start, and unless it is asleep its row is the
 * caller's to change. `busy`: it is on its way out of Redis, or is to be repaired; nothing was done.
 */
export async function cancelRun(
  scripts: ScriptRunner,
  runId: string,
  reason: string,
): Promise<CancelAnswer> {
  const reply = await endRun(scripts, runId, { code: "CANCELLED", message: reason }, "cancelled");
  return CANCEL_ANSWERS[String(reply)] ?? "gone";
}

/** Ends a run that cannot be repaired; one that is not so, or no more, is left as it is. */
export async function failRun(scripts: ScriptRunner, runId: string, why: RunError): Promise<void> {
  await endRun(scripts, runId, why, "failed");
}

function endRun(
  scripts: ScriptRunner,
  runId: string,
  error: RunError,
  status: "cancelled" | "failed",
): Promise<unknown> {
  const k = scripts.keys;
  const keys = [k.ev, k.meta, k.timers, k.halted, k.release, k.tombs, k.run(runId)];
  const args = [scripts.nonce(), runId, JSON.stringify({ error }), TOMBSTONE_MS, status];
  return scripts.transition("cancelRun", keys, args);
}

/** Removes the keys of ended runs whose end is committed; `timers` are members still armed. */
export async function releaseRuns(
  scripts: ScriptRunner,
  runIds: readonly string[],
  timers: readonly string[],
): Promise<number> {
  const k = scripts.keys;
  const keys = [k.ev, k.meta, k.timers, k.release, k.tombs, k.paused];
  keys.push(...runIds.map((id) => k.run(id)), ...runIds.map((id) => k.signals(id)));
  keys.push(...runIds.map((id) => k.blobs(id)));
  const args = [scripts.nonce(), TOMBSTONE_MS, runIds.length, ...runIds, ...timers];
  return (await scripts.transition("releaseRuns", keys, args)) as number;
}

/** Adds `delta` to a run's counter once per `op`; see scripts/apply_delta.lua for the reply. */
export async function applyDelta(
  scripts: ScriptRunner,
  runId: string,
  delta: number,
  op: string,
): Promise<{ code: number; counter: number | null }> {
  const k = scripts.keys;
  const keys = [k.ev, k.meta, k.timers, k.halted, k.release, k.run(runId)];
  const args = [scripts.nonce(), runId, delta, op];
  const reply = (await scripts.transition("applyDelta", keys, args)) as number[];
  return { code: reply[0] as number, counter: reply[1] ?? null };
}

/** Status and epoch of a run; "": it is not there, or something else is in its place. */
export async function seenOf(
  { redis, keys }: Pick<ScriptRunner, "redis" | "keys">,
  runId: string,
): Promise<Seen> {
  const none = [null, null];
  const [status, epoch] = await unlessForeign(redis.hmget(keys.run(runId), "s", "e"), none);
  return { runId, status: status ?? "", epoch: epoch ?? "" };
}

/**
 * Freezes a run that is as the caller saw it (status and epoch, as `seenOf`) and asks in the
 * journal for its repair. `moved`: it is not so any more, and nothing was done.
 */
export async function suspectRun(scripts: ScriptRunner, seen: Seen): Promise<"marked" | "moved"> {
  const k = scripts.keys;
  const args = [scripts.nonce(), seen.runId, seen.status, seen.epoch];
  const reply = await scripts.transition("suspectRun", [k.ev, k.meta, k.run(seen.runId)], args);
  return reply === 0 ? "marked" : "moved";
}

/**
 * Counts a try to repair a frozen run, which nobody else ends from then on; null: it is frozen no more.
 * What the try writes counts only while the guard holds: until somebody else begins one, or the run is
 * back. One that is not in Redis is not counted, and nobody can end it there.
 */
export async function beginRepair(scripts: ScriptRunner, runId: string): Promise<Guard | null> {
  const ticket = scripts.nonce();
  const { meta, ...k } = scripts.keys;
  const key = k.run(runId);
  const keys = [meta, key, k.signals(runId), k.blobs(runId), k.held(runId)];
  const begun = await scripts.transition("beginRepair", keys, [ticket]);
  const isHere = begun === 1;
  return begun === 0 ? null : { key, field: isHere ? "rt" : "s", value: isHere ? ticket : "" };
}
