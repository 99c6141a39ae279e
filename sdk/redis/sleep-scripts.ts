/** Typed calls of the scripts by which runs that wait for long leave Redis (docs/hibernate.md). */
import { mapsOfRuns, unlessForeign } from "./foreign-keys.ts";
import { TOMBSTONE_MS } from "./run-scripts.ts";
import type { ScriptArg, ScriptRunner } from "./script-runner.ts";
import { keysOf } from "./write-anyway.ts";

/**
 * asleep: frozen, its keys go when that is archived. moved: neither running nor paused, or not here.
 * busy: something of it is ready or executing, or it is very large. soon: a timer is nearer than
 * asked for.
 */
export type HibernateAnswer = "asleep" | "moved" | "busy" | "soon";

const ANSWERS: readonly HibernateAnswer[] = ["asleep", "moved", "busy", "soon"];

/** The script looks through no more in one call. */
const NOT_LOOKED_AT = 4;
/** Elements of maps that one call removes; one run's may be more. */
const EVICTED_MAX = 2000;

/** Freezes those of these runs that wait, with no timer due within `leastMs`. */
export async function hibernateRuns(
  scripts: ScriptRunner,
  runIds: readonly string[],
  leastMs: number,
): Promise<HibernateAnswer[]> {
  const k = scripts.keys;
  const answers: HibernateAnswer[] = [];
  while (answers.length < runIds.length) {
    const ids = runIds.slice(answers.length);
    const keys = [k.ev, k.meta, k.timers, k.release];
    keys.push(...ids.map((id) => k.run(id)), ...ids.map((id) => k.held(id)));
    const args: ScriptArg[] = [scripts.nonce(), leastMs, ...ids];
    const reply = (await scripts.transition("hibernateRuns", keys, args)) as number[];
    const codes = reply.slice(1);
    const left = codes.indexOf(NOT_LOOKED_AT);
    const looked = left < 0 ? codes : codes.slice(0, left);
    answers.push(...looked.map((code) => ANSWERS[code] ?? "moved"));
  }
  return answers;
}

interface Evicted {
  runId: string;
  seq: number;
}

/** One that is to be evicted, with its maps and how many elements of them have begun. */
interface Sized extends Evicted {
  maps: string[];
  size: number;
}

/**
 * Removes the keys of runs whose sleep, the one of record `seq`, is committed; returns how many. Which
 * maps they have is read before: those of a frozen run do not change.
 */
export async function evictRuns(scripts: ScriptRunner, runs: readonly Evicted[]): Promise<number> {
  let removed = 0;
  let batch: Sized[] = [];
  let size = 0;
  for (const run of await withSizes(scripts, runs)) {
    if (batch.length > 0 && size + run.size > EVICTED_MAX) {
      removed += await evict(scripts, batch);
      [batch, size] = [[], 0];
    }
    batch.push(run);
    size += run.size;
  }
  return batch.length === 0 ? removed : removed + (await evict(scripts, batch));
}

async function withSizes(scripts: ScriptRunner, runs: readonly Evicted[]): Promise<Sized[]> {
  const { keys, redis } = scripts;
  const found = await mapsOfRuns(
    scripts,
    runs.map(({ runId }) => runId),
  );
  const maps = runs.map(({ runId }) => found.get(runId)?.names ?? []);
  const counts = maps.flat().map(async (map) => {
    const pair = await unlessForeign(redis.hmget(keys.run(map), "next", "again"), []);
    return Math.max(0, ...pair.map(Number));
  });
  const begun = await Promise.all(counts);
  let at = 0;
  return runs.map((run, i) => {
    const own = maps[i] ?? [];
    const sizes = begun.slice(at, (at += own.length));
    return { ...run, maps: own, size: sizes.reduce((sum, count) => sum + count, 0) };
  });
}

async function evict(scripts: ScriptRunner, runs: readonly Sized[]): Promise<number> {
  const k = scripts.keys;
  const keys = [k.meta, k.release, k.tombs, k.paused];
  for (const part of ["run", "signals", "blobs", "held", "maps"] as const) {
    keys.push(...runs.map(({ runId }) => k[part](runId)));
  }
  keys.push(...runs.flatMap(({ maps }) => maps.map((map) => k.run(map))));
  const args: ScriptArg[] = [TOMBSTONE_MS];
  runs.forEach(({ runId, seq, maps }) => args.push(runId, seq, maps.length));
  return (await scripts.transition("evictRuns", keys, args)) as number;
}

/** Tombstones removed by one command; more only where many are over at the same moment. */
const TOMBS_MAX = 1000;

/** Removes tombstones that are over, in portions: of a million at once nobody else would be served. */
export async function removeTombstones(scripts: ScriptRunner, nowMs: number): Promise<void> {
  const { redis, keys } = scripts;
  for (let isFull = true; isFull;) {
    // By their times and not by their names: one that is put there anew meanwhile stays.
    const [, last] = await redis.zrange(keys.tombs, TOMBS_MAX - 1, TOMBS_MAX - 1, "WITHSCORES");
    isFull = last !== undefined && Number(last) <= nowMs;
    await redis.zremrangebyscore(keys.tombs, "-inf", isFull ? (last as string) : nowMs);
  }
}

/** What stands in the place of a run that is to be woken. */
export type WakeTurn =
  /** The ticket: read its journal, then write it. */
  | { kind: "yours" }
  /** It sleeps anew, and that is not committed yet; or it is to be repaired. */
  | { kind: "later" }
  /** Something else stands there. */
  | { kind: "damaged" }
  | { kind: "awake"; epoch: number };

/** Leaves a ticket in the places of runs whose sleep, the one of record `seq`, is committed. */
export async function beginWake(
  scripts: ScriptRunner,
  ticket: string,
  runs: readonly { runId: string; seq: number }[],
): Promise<WakeTurn[]> {
  const k = scripts.keys;
  const keys = [k.meta, k.release, ...runs.map(({ runId }) => k.run(runId))];
  const args = [ticket, ...runs.flatMap(({ runId, seq }) => [runId, seq])];
  const reply = (await scripts.transition("beginWake", keys, args)) as [number, ...string[]];
  const [, ...answers] = reply;
  return answers.map((answer) => {
    if (answer === "") {
      return { kind: "yours" };
    }
    if (answer === "damaged") {
      return { kind: "damaged" };
    }
    return answer === "asleep" ? { kind: "later" } : { kind: "awake", epoch: Number(answer) };
  });
}

/**
 * Carries out the commands that put a run back, the removal of what is in its place among them.
 * False: another ticket is there. Throws when the partition's epoch has changed, and what made it fail
 * half-way: the run is rebuilt then.
 */
export async function wakeRun(
  scripts: ScriptRunner,
  wake: { runId: string; ticket: string; commands: readonly (readonly string[])[] },
): Promise<boolean> {
  const { runId, ticket, commands } = wake;
  const k = scripts.keys;
  const touched = new Set(commands.flatMap(keysOf));
  const keys = [k.ev, k.meta, k.run(runId), k.release, ...touched];
  const args: ScriptArg[] = [scripts.nonce(), runId, ticket];
  for (const command of commands) {
    args.push(command.length, ...command);
  }
  return (await scripts.transition("wakeRun", keys, args, { sameEpoch: true })) === 0;
}
