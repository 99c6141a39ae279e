/**
 * What stands in a partition and belongs to no run: entries, pending deliveries, timers, keys.
 *
 * The one place where a scan is right: an index of what is not indexed cannot exist. In bounded
 * pages, and what was found is looked at a second time, so nothing that is on its way is named.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import {
  connectionAt,
  GROUP,
  isForeign,
  parseEntry,
  parseRunKey,
  parseUnit,
  partitionKeys,
  runEpoch,
  unlessForeign,
  type Drift,
  type PartitionKeys,
} from "../../sdk/internal.ts";
import { compareIds, type StreamIndex } from "./streams.ts";

/** Keys that are there without a run, for a while. */
const EXPIRING: ReadonlySet<string> = new Set(["redriven", "staged"]);
const PAGE = 500;
const SECOND_LOOK_MS = 400;
/** A delivery that has been silent for longer is not being executed. */
const SILENT_MS = 120_000;

export interface PartitionScan {
  /** Ids of the runs that have a hash. */
  runIds: string[];
  orphans: Drift[];
}

/** Walks a partition. `streams` then knows its queues. */
export async function scanPartition(
  connection: Redis,
  partition: number,
  streams: StreamIndex,
): Promise<PartitionScan> {
  const keys = partitionKeys(partition);
  const redis = connectionAt(connection, keys.meta);
  const found = await scanKeys(redis, keys);
  const suspects = [
    ...found.keys,
    ...(await timerOrphans(redis, keys)),
    ...(await listedOrphans(redis, keys)),
  ];
  for (const queue of found.queues) {
    suspects.push(...(await queueOrphans(redis, keys, queue, streams)));
  }
  if (suspects.length === 0) {
    return { runIds: found.runIds, orphans: [] };
  }
  await delay(SECOND_LOOK_MS);
  const orphans: Drift[] = [];
  for (const drift of suspects) {
    if (await unlessForeign(isStillThere(redis, keys, drift), false)) {
      orphans.push(drift);
    }
  }
  return { runIds: found.runIds, orphans };
}

async function scanKeys(
  redis: Redis,
  keys: PartitionKeys,
): Promise<{ runIds: string[]; queues: string[]; keys: Drift[] }> {
  const all: string[] = [];
  let at = "0";
  do {
    const [next, page] = await redis.scan(at, "MATCH", keys.pattern, "COUNT", PAGE);
    all.push(...page);
    at = next;
  } while (at !== "0");
  const names = [...new Set(all)];
  const queues = names.filter((key) => key.startsWith(keys.queues));
  const runIds = new Set<string>();
  const others: { key: string; runId: string; part: string }[] = [];
  for (const key of names) {
    const parsed = parseRunKey(keys, key);
    if (parsed?.part === "run") {
      runIds.add(parsed.runId);
    } else if (parsed !== null && !EXPIRING.has(parsed.part)) {
      others.push({ key, ...parsed });
    }
  }
  const left = others.filter(({ runId }) => !runIds.has(runId));
  const orphans = left.map(({ key, runId, part }): Drift => {
    const is = `${part} of a run that is not there`;
    return { kind: "orphan_key", runId, key, is, expected: "no key", remedy: "remove" };
  });
  return { runIds: [...runIds].sort(), queues, keys: orphans };
}

/**
 * Run epochs by id; absent: the run is not there; "": it is being woken; null: something else stands in
 * its place, which is the run's own drift, and nobody knows what belongs to it.
 */
async function epochsOf(
  redis: Redis,
  keys: PartitionKeys,
  runIds: Iterable<string>,
): Promise<Map<string, string | null>> {
  const ids = [...new Set(runIds)];
  const epochs = new Map<string, string | null>();
  for (let from = 0; from < ids.length; from += PAGE) {
    const some = ids.slice(from, from + PAGE);
    const pipeline = redis.pipeline();
    some.forEach((id) => pipeline.hmget(keys.run(id), "s", "e"));
    ((await pipeline.exec()) ?? []).forEach(([error, fields], i) => {
      const [status = null, epoch = null] = (fields ?? []) as (string | null)[];
      if (isForeign(error)) {
        epochs.set(some[i] as string, null);
      } else if (status !== null) {
        epochs.set(some[i] as string, epoch ?? "");
      }
    });
  }
  return epochs;
}

/** Whether what bears this epoch is of the run, as far as anybody can tell. */
function isOf(epochs: ReadonlyMap<string, string | null>, runId: string, epoch: string): boolean {
  const found = epochs.get(runId);
  return found === null || found === runEpoch(epoch);
}

async function timerOrphans(redis: Redis, keys: PartitionKeys): Promise<Drift[]> {
  const orphans: Drift[] = [];
  let at = "0";
  do {
    const [next, page] = await redis.zscan(keys.timers, at, "COUNT", PAGE);
    at = next;
    const members = page.filter((_, i) => i % 2 === 0);
    const placed = members.map((member) => {
      const [, unit = "", epoch = ""] = member.split("|");
      return { member, epoch, runId: parseUnit(unit).runId };
    });
    const epochs = await epochsOf(
      redis,
      keys,
      placed.map(({ runId }) => runId),
    );
    for (const { member, epoch, runId } of placed) {
      if (!isOf(epochs, runId, epoch)) {
        const is = epochs.has(runId)
          ? `a timer of epoch ${epoch}; the run has ${epochs.get(runId)}`
          : "a timer of a run that is not there";
        const about = { runId, key: keys.timers, member, is, expected: "no timer" };
        orphans.push({ kind: "orphan_timer", ...about, remedy: "remove" });
      }
    }
  } while (at !== "0");
  return orphans;
}

/** Names on the lists of paused runs and of what is to be released, without their runs. */
async function listedOrphans(redis: Redis, keys: PartitionKeys): Promise<Drift[]> {
  const orphans: Drift[] = [];
  for (const key of [keys.paused, keys.release]) {
    const names = await redis.zrange(key, 0, -1);
    const epochs = await epochsOf(
      redis,
      keys,
      names.map((name) => parseUnit(name).runId),
    );
    for (const member of names.filter((name) => !epochs.has(parseUnit(name).runId))) {
      const { runId } = parseUnit(member);
      const about = { runId, key, member, is: "a run that is not there", expected: "none" };
      orphans.push({ kind: "orphan_listed", ...about, remedy: "remove" });
    }
  }
  return orphans;
}

async function queueOrphans(
  redis: Redis,
  keys: PartitionKeys,
  queue: string,
  streams: StreamIndex,
): Promise<Drift[]> {
  const entries = new Map<string, { runId: string | null; epoch: string }>();
  await streams.refresh(queue, (id, token) => {
    entries.set(id, { runId: token?.runId ?? null, epoch: token?.epoch ?? "" });
  });
  const pending = await pendingIn(redis, queue);
  const delivered = await lastDelivered(redis, queue);
  const epochs = await epochsOf(
    redis,
    keys,
    [...entries.values()].flatMap(({ runId }) => runId ?? []),
  );
  const orphans: Drift[] = [];
  for (const [id, { runId, epoch }] of entries) {
    const isOwned = runId !== null && isOf(epochs, runId, epoch);
    const idleMs = pending.get(id);
    const isLost = idleMs === undefined && compareIds(id, delivered) <= 0;
    if (isOwned || (idleMs !== undefined && idleMs < SILENT_MS)) {
      continue; // the run's own audit looks at it, or somebody is at it
    }
    const what = runId === null ? "no token" : "a token of a run that is not there, or not so";
    const is = isLost ? `${what}, delivered and in nobody's hands` : `${what}: dropped when read`;
    const about = { runId, key: queue, member: id, is, expected: "no entry" };
    const harmless = isLost ? {} : { harmless: true as const };
    orphans.push({ kind: "orphan_entry", ...about, remedy: "remove", ...harmless });
  }
  const seen = new Set(entries.keys());
  for (const id of [...pending.keys()].filter((one) => !seen.has(one))) {
    if ((await redis.xrange(queue, id, id)).length === 0) {
      const is = "pending, but the entry is not in the stream";
      const about = { runId: null, key: queue, member: id, is, expected: "nothing pending" };
      orphans.push({ kind: "orphan_pending", ...about, remedy: "remove" });
    }
  }
  return orphans;
}

/** What is pending in a queue: idle time in ms by entry. */
async function pendingIn(redis: Redis, queue: string): Promise<Map<string, number>> {
  const pending = new Map<string, number>();
  let from = "-";
  for (;;) {
    const page = (await redis.xpending(queue, GROUP, from, "+", PAGE).catch(() => [])) as [
      string,
      string,
      number,
    ][];
    page.forEach(([id, , idleMs]) => pending.set(id, idleMs));
    if (page.length < PAGE) {
      return pending;
    }
    from = `(${page.at(-1)?.[0] ?? "+"}`;
  }
}

async function lastDelivered(redis: Redis, queue: string): Promise<string> {
  const groups = (await redis.xinfo("GROUPS", queue).catch(() => [])) as unknown[][];
  const own = groups.find((group) => group[group.indexOf("name") + 1] === GROUP);
  return own === undefined ? "0-0" : String(own[own.indexOf("last-delivered-id") + 1]);
}

/** Another look, at an orphan: its run may have come, or the thing gone. */
export async function isStillThere(
  redis: Redis,
  keys: PartitionKeys,
  drift: Drift,
): Promise<boolean> {
  const { kind, runId, key = "", member = "" } = drift;
  const run = keys.run(runId ?? "");
  // One that is being woken is there, and has no epoch yet.
  const isGone = async (): Promise<boolean> => (await redis.exists(run)) === 0;
  const epoch = runId === null ? null : await redis.hget(run, "e");
  switch (kind) {
    case "orphan_key":
      return (await isGone()) && (await redis.exists(key, keys.redriven(runId ?? ""))) === 1;
    case "orphan_timer":
      return (
        epoch !== runEpoch(member.split("|")[2] ?? "") && (await redis.zscore(key, member)) !== null
      );
    case "orphan_listed":
      return (await isGone()) && (await redis.zscore(key, member)) !== null;
    case "orphan_pending":
      return (await redis.xpending(key, GROUP, member, member, 1)).length > 0;
    default: {
      const [entry] = await redis.xrange(key, member, member);
      const token = entry === undefined ? null : parseEntry(key, member, entry[1]);
      return entry !== undefined && (token === null || runEpoch(token.epoch) !== epoch);
    }
  }
}
