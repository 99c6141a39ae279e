/**
 * Repairing what an audit found. A run is not patched: it is frozen and marked (scripts/suspect_run
 * .lua), and whoever archives its partition rebuilds it from its journal under a new epoch, as it
 * does with a run in which a script failed half-way. What belongs to no run is removed.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  GROUP,
  isTerminal,
  removeOrphan,
  seenOf,
  suspectRun,
  unlessForeign,
  type Command,
  type Drift,
  type Looked,
  type ScriptRunner,
} from "../../sdk/internal.ts";
import { readRun, type Database } from "../../sdk/postgres/index.ts";
import { releaseMapsOfEnded } from "../release-maps.ts";
import type { AuditContext } from "./audit-run.ts";
import { isStillThere } from "./orphans.ts";

/** A supervisor looks for runs to repair twice a minute. */
const REPAIR_MS_MAX = 45_000;
const POLL_MS = 50;
/** Statuses in Redis of a run that is over. */
const FINAL: ReadonlySet<string> = new Set(["completed", "failed", "cancelled"]);

export type Repair =
  { kind: "repaired" } | { kind: "moved"; text: string } | { kind: "failed"; text: string };

/**
 * Has a run rebuilt from its journal, if that is still called for; waits until it is. Asked in between
 * what is marked and the mark, so that the mark is of a run that was looked at: with many runs between,
 * the audit was minutes ago, and a run that has ended since is not to be frozen.
 */
export async function repairRun(
  { db }: AuditContext,
  scripts: ScriptRunner,
  runId: string,
  isCalledFor: () => Promise<boolean>,
  waitMsMax = REPAIR_MS_MAX,
): Promise<Repair> {
  const row = await readRun(db, runId);
  const seen = await seenOf(scripts, runId);
  if (row === null) {
    return { kind: "failed", text: "Postgres has no row of it; nothing tells what it should be" };
  }
  if (!(await isCalledFor()) || (await suspectRun(scripts, seen)) === "moved") {
    return { kind: "moved", text: "the run has moved on since; look again" };
  }
  const until = performance.now() + waitMsMax;
  while (performance.now() < until) {
    await delay(POLL_MS);
    const now = await seenOf(scripts, runId);
    const isHere = now.status !== "";
    const isRebuilt = isHere && now.status !== "suspect" && now.epoch !== seen.epoch;
    if (isRebuilt || (!isHere && seen.status !== "")) {
      return { kind: "repaired" };
    }
  }
  return { kind: "failed", text: "no supervisor has rebuilt it yet; is one running?" };
}

/**
 * Removes one thing that belongs to no run, or puts an ended run on the list of releases. False: it is
 * not as it was found any more, and is left alone. With many runs between, that was minutes ago: so it
 * is looked at once more, and what happens to its run or its key meanwhile is noticed by the script that
 * removes it.
 */
export async function removeDrift(
  context: AuditContext,
  scripts: ScriptRunner,
  drift: Drift,
): Promise<boolean> {
  const { redis, keys } = scripts;
  const key = drift.key ?? keys.run(drift.runId ?? "");
  const run = await seenOf(scripts, drift.runId ?? "");
  const looked = { run, key, type: await redis.type(key) };
  if (!(await isStillSo(context, scripts, looked, drift))) {
    return false;
  }
  if (drift.kind === "ended_unknown") {
    await releaseMapsOfEnded(scripts, [run.runId]);
  }
  return removeOrphan(scripts, looked, await removalOf(scripts, drift, looked));
}

/** Whether it is still as it was found. */
async function isStillSo(
  { db }: AuditContext,
  { redis, keys }: ScriptRunner,
  { run, type }: Looked,
  drift: Drift,
): Promise<boolean> {
  const isEnded = FINAL.has(run.status);
  switch (drift.kind) {
    case "key_foreign":
      return type !== "none" && `a ${type}` !== drift.expected;
    case "ended_unknown":
      return isEnded && (await readRun(db, run.runId)) === null;
    case "not_released":
      return isEnded; // whoever releases looks himself
    default: {
      // Of a run that is put back its large values come before it.
      const isKept = drift.kind === "orphan_key" && (await isUnderWay(db, run.runId));
      return !isKept && unlessForeign(isStillThere(redis, keys, drift), false);
    }
  }
}

async function isUnderWay(db: Database, runId: string): Promise<boolean> {
  const row = await readRun(db, runId);
  return row !== null && !isTerminal(row.status) && row.asleepSinceMs === null;
}

/** What removes it. */
async function removalOf(
  { redis, keys }: ScriptRunner,
  { kind, member = "" }: Drift,
  { run: { runId }, key }: Looked,
): Promise<Command[]> {
  switch (kind) {
    case "orphan_entry":
    case "orphan_pending":
      return [
        ["XACK", key, GROUP, member],
        ["XDEL", key, member],
      ];
    case "orphan_timer":
    case "orphan_listed":
      return [["ZREM", key, member]];
    case "orphan_key":
    case "key_foreign":
      return [["UNLINK", key]];
    case "ended_unknown": {
      // As its release would, which waits for a row.
      const names = (await redis.hkeys(key)).filter((name) => /^d\d+$/.test(name));
      const found = names.length === 0 ? [] : await redis.hmget(key, ...names);
      const timers = found.filter((timer) => timer !== null);
      return [
        ...timers.map((timer) => ["ZREM", keys.timers, timer]),
        ["UNLINK", key, keys.signals(runId), keys.blobs(runId), keys.held(runId)],
        ["ZREM", keys.release, runId],
        ["ZREM", keys.paused, runId],
      ];
    }
    case "not_released":
      return [["ZADD", keys.release, 0, runId]];
    default:
      return [];
  }
}
