/**
 * How much waits in one partition, for metrics: its queues, its journal, its timers.
 *
 * Asked by whoever holds the partition's role, so that sums over processes count nothing twice. Three
 * round trips, whatever waits: the second and third ask more only of queues that hold something.
 */
import type { ChainableCommander } from "ioredis";
import { GROUP, isForeign, PRIORITIES, redisTimeMs, type PartitionKeys } from "../sdk/internal.ts";
import type { Cursor } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";

export interface QueueLoad {
  queue: string;
  priority: string;
  /** Tokens that no worker has read, and those that one has read and not settled. */
  waiting: number;
  held: number;
  /** For how long the oldest of those that wait does, ms; 0: none waits. */
  oldestMs: number;
}

/** Not known: something else stands in place of a key, or, of the lag, nobody archives yet. */
type Known = number | undefined;

export interface PartitionLoad {
  queues: QueueLoad[];
  /** Journal records that are not archived; for how long the oldest is not, ms; bytes of the stream. */
  lagRecords: Known;
  lagMs: Known;
  journalBytes: Known;
  timersDue: Known;
  timersWaiting: Known;
  /** For how long the timer that is most overdue is, ms. */
  timersLateMs: Known;
  /** Ended and sleeping runs whose keys are still there. */
  releases: Known;
  pausedRuns: Known;
  /** Entries that were no tokens. */
  quarantined: Known;
}

interface Stream {
  key: string;
  queue: string;
  priority: string;
  length: number;
}

/** Looks once; `cursor` is where the partition is archived to, undefined if that is not known. */
export async function partitionLoad(
  context: SupervisorContext,
  partition: number,
  queues: ReadonlySet<string>,
  cursor: Cursor | undefined,
): Promise<PartitionLoad> {
  const scripts = scriptsOf(context, partition);
  const { keys, redis } = scripts;
  const nowMs = await redisTimeMs(scripts);
  const streams = streamsOf(keys, queues);
  const asked = redis.pipeline().hget(keys.meta, "seq").memory("USAGE", keys.ev, "SAMPLES", 0);
  asked.xrange(keys.ev, cursor === undefined ? "+" : `(${cursor.streamId}`, "+", "COUNT", 1);
  asked.zcount(keys.timers, "-inf", nowMs).zcard(keys.timers);
  asked.zrange(keys.timers, 0, 0, "WITHSCORES");
  asked.zcard(keys.release).zcard(keys.paused).xlen(keys.quarantine);
  streams.forEach(({ key }) => asked.xlen(key));
  const [seq, bytes, next, due, timers, first, releases, pausedRuns, quarantined, ...lengths] =
    await answers(asked);
  const full = streams
    .map((stream, i) => ({ ...stream, length: count(lengths[i]) ?? 0 }))
    .filter(({ length }) => length > 0);
  const [waits, isDue] = [count(timers), count(due)];
  return {
    queues: await loadsOf(redis.pipeline(), () => redis.pipeline(), full, nowMs),
    ...lagOf(cursor, seq as string | null | undefined, next as [string][] | undefined, nowMs),
    journalBytes: count(bytes),
    timersDue: isDue,
    timersWaiting: waits === undefined || isDue === undefined ? undefined : waits - isDue,
    timersLateMs: lateBy(first as string[] | undefined, nowMs),
    releases: count(releases),
    pausedRuns: count(pausedRuns),
    quarantined: count(quarantined),
  };
}

/** A number that Redis has answered; nothing is 0. */
function count(answer: unknown): Known {
  return answer === undefined ? undefined : Number(answer ?? 0);
}

/** `next`: the first record behind the cursor, if there is one. */
function lagOf(
  cursor: Cursor | undefined,
  seq: string | null | undefined,
  next: readonly [string][] | undefined,
  nowMs: number,
): Pick<PartitionLoad, "lagRecords" | "lagMs"> {
  if (cursor === undefined) {
    return { lagRecords: undefined, lagMs: undefined };
  }
  const [oldest] = next ?? [];
  return {
    lagRecords: seq === undefined ? undefined : Math.max(0, Number(seq ?? 0) - cursor.seq),
    lagMs: next === undefined ? undefined : oldest === undefined ? 0 : ageOf(oldest[0], nowMs),
  };
}

/** `first`: the timer that is due first, with when it is. */
function lateBy(first: readonly string[] | undefined, nowMs: number): Known {
  if (first === undefined) {
    return undefined;
  }
  const dueMs = first[1];
  return dueMs === undefined ? 0 : Math.max(0, nowMs - Number(dueMs));
}

function streamsOf(keys: PartitionKeys, queues: ReadonlySet<string>): Stream[] {
  return [...queues].flatMap((queue) =>
    PRIORITIES.flatMap((priority) =>
      [keys.queue(queue, priority), keys.entryQueue(queue, priority)].map((key) => ({
        ...{ key, queue, priority },
        length: 0,
      })),
    ),
  );
}

/** Of streams that hold something: how much of it is held, and how old the first of the rest is. */
async function loadsOf(
  groups: ChainableCommander,
  pipeline: () => ChainableCommander,
  streams: readonly Stream[],
  nowMs: number,
): Promise<QueueLoad[]> {
  if (streams.length === 0) {
    return [];
  }
  streams.forEach(({ key }) => groups.xinfo("GROUPS", key));
  const known = (await answers(groups)).map((all) => groupOf((all ?? []) as unknown[][]));
  const firsts = pipeline();
  streams.forEach(({ key }, i) =>
    firsts.xrange(key, `(${known[i]?.delivered ?? "0-0"}`, "+", "COUNT", 1),
  );
  const oldest = (await answers(firsts)) as ([string][] | undefined)[];
  return streams.map(({ queue, priority, length }, i) => {
    const held = Math.min(length, known[i]?.pending ?? 0);
    const id = oldest[i]?.[0]?.[0];
    const oldestMs = id === undefined ? 0 : ageOf(id, nowMs);
    return { queue, priority, waiting: length - held, held, oldestMs };
  });
}

/** The workers' group of a stream, of what XINFO GROUPS says. */
function groupOf(groups: readonly unknown[][]): { pending: number; delivered: string } | undefined {
  for (const flat of groups) {
    const at = (name: string): unknown => flat[flat.indexOf(name) + 1];
    if (at("name") === GROUP) {
      return { pending: Number(at("pending")), delivered: String(at("last-delivered-id")) };
    }
  }
  return undefined;
}

function ageOf(entryId: string, nowMs: number): number {
  return Math.max(0, nowMs - Number.parseInt(entryId, 10));
}

/**
 * Answers of a pipeline, undefined where something else stands in place of a key: for its sake nothing
 * else is left untold. Throws any other error.
 */
async function answers(asked: ChainableCommander): Promise<unknown[]> {
  const replies = (await asked.exec()) ?? [];
  return replies.map(([error, reply]) => {
    if (error !== null && !isForeign(error)) {
      throw error;
    }
    return error === null ? reply : undefined;
  });
}
