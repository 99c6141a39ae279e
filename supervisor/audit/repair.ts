/**
 * Repairing what an audit found. A run is not patched: it is frozen and marked (scripts/suspect_run
 * .lua), and whoever archives its partition rebuilds it from its journal under a new epoch, as it
 * does with a run in which a script failed half-way. What belongs to no run is removed.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  connectionAt,
  GROUP,
  partitionKeys,
  seenOf,
  suspectRun,
  unlessForeign,
  type Drift,
  type Redis,
  type ScriptRunner,
} from "../../sdk/internal.ts";
import { readRun } from "../../sdk/postgres/index.ts";
import { releaseMapsOf } from "../release-maps.ts";
import type { AuditContext } from "./audit-run.ts";
import { isStillThere } from "./orphans.ts";

/** A supervisor looks for runs to repair twice a minute. */
const REPAIR_MS_MAX = 45_000;
const POLL_MS = 50;

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

/** Removes what an ended run has left, as its release would, which waits for a row. */
async function removeEnded(connection: Redis, partition: number, runId: string): Promise<void> {
  const keys = partitionKeys(partition);
  const redis = connectionAt(connection, keys.meta);
  await releaseMapsOf(redis, keys, [runId]);
  const names = (await redis.hkeys(keys.run(runId))).filter((name) => /^d\d+$/.test(name));
  const timers = names.length === 0 ? [] : await redis.hmget(keys.run(runId), ...names);
  const all = redis.multi();
  timers.forEach((member) => void (member !== null && all.zrem(keys.timers, member)));
  all.unlink(keys.run(runId), keys.signals(runId), keys.blobs(runId), keys.held(runId));
  await all.zrem(keys.release, runId).zrem(keys.paused, runId).exec();
}

/** Whether it is still as it was found: with many runs between, that was minutes ago. */
async function isStillSo(
  { redis, db }: AuditContext,
  partition: number,
  drift: Drift,
): Promise<boolean> {
  const { kind, key = "", runId, expected } = drift;
  const keys = partitionKeys(partition);
  switch (kind) {
    case "key_foreign": {
      const type = await connectionAt(redis, key).type(key);
      return type !== "none" && `a ${type}` !== expected;
    }
    case "ended_unknown":
      return (await readRun(db, runId ?? "")) === null;
    case "not_released":
      return true; // whoever releases looks himself
    default:
      return unlessForeign(isStillThere(connectionAt(redis, keys.meta), keys, drift), false);
  }
}

/**
 * Removes one thing that belongs to no run, or puts an ended run on the list of releases. False: it is
 * not as it was found any more, and is left alone.
 */
export async function removeOrphan(
  context: AuditContext,
  partition: number,
  drift: Drift,
): Promise<boolean> {
  const { redis } = context;
  const { kind, key = "", member = "", runId } = drift;
  if (!(await isStillSo(context, partition, drift))) {
    return false;
  }
  switch (kind) {
    case "orphan_entry":
    case "orphan_pending":
      await connectionAt(redis, key).multi().xack(key, GROUP, member).xdel(key, member).exec();
      break;
    case "orphan_timer":
    case "orphan_listed":
      await redis.zrem(key, member);
      break;
    case "orphan_key":
    case "key_foreign":
      await redis.unlink(key);
      break;
    case "ended_unknown":
      await removeEnded(redis, partition, runId ?? "");
      break;
    case "not_released":
      await redis.zadd(partitionKeys(partition).release, 0, runId ?? "");
      break;
    default:
      break;
  }
  return true;
}
