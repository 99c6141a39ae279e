/**
 * Takes over what a worker that stopped answering has left behind.
 *
 * Redis never offers a delivered entry again by itself. Entries idle for longer than the lease are
 * claimed one by one and executed alone, nothing that was begun lately in the process's hands: a
 * payload that kills its worker must not take all others to the dead letters with it (21 A13). What
 * was handed back counts no delivery: it has killed nobody, and is executed beside the rest. Idleness
 * is Redis' own, so a machine with a wrong clock steals nothing.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Redis } from "ioredis";
import { GROUP, parseEntry, writeAnyway, type ReadyToken } from "../sdk/internal.ts";
import type { LaneOptions } from "./lane-options.ts";
import { BATCH_MAX } from "./options.ts";

/**
 * What kills its process does so soon. Work that takes longer is not waited for to execute a stale
 * entry alone, or a handler that never answers would stand between a lane and its queues.
 */
const ALONE_MS = 2000;

export interface StaleEntry {
  queueKey: string;
  entryId: string;
  /** Deliveries so far. */
  deliveries: number;
}

type PendingReply = [id: string, consumer: string, idleMs: number, deliveries: number][];

/**
 * Entries idle for at least `leaseMs`, at most `count` per queue. What has lain for longest comes first:
 * whoever takes only some of them, because it dies soon as well, leaves no queue behind for ever.
 */
export async function findStale(
  redis: Redis,
  queueKeys: readonly string[],
  leaseMs: number,
  count: number,
): Promise<StaleEntry[]> {
  const pipeline = redis.pipeline();
  for (const key of queueKeys) {
    pipeline.call("XPENDING", key, GROUP, "IDLE", leaseMs, "-", "+", count);
  }
  const replies = (await pipeline.exec()) ?? [];
  const found = replies.flatMap(([error, reply], i) =>
    error !== null
      ? []
      : (reply as PendingReply).map(([entryId, , idleMs, deliveries]) => ({
          idleMs,
          stale: { queueKey: queueKeys[i] as string, entryId, deliveries },
        })),
  );
  return found.sort((a, b) => b.idleMs - a.idleMs).map(({ stale }) => stale);
}

/**
 * Claims one stale entry; null if somebody else has it, or if it is gone (then nothing stays
 * pending of it).
 */
export async function claim(
  redis: Redis,
  metaKey: string,
  entry: StaleEntry,
  consumer: string,
  leaseMs: number,
): Promise<ReadyToken | null> {
  const { queueKey, entryId } = entry;
  // Counted in the same step: whoever finds the count unchanged has lost no entry.
  const [claimed] = await writeAnyway(redis, [
    ["XCLAIM", queueKey, GROUP, consumer, leaseMs, entryId],
    ["HINCRBY", metaKey, "taken", 1],
  ]);
  const fields = (claimed as ([string, string[] | null] | null)[])[0]?.[1];
  return fields === undefined || fields === null ? null : parseEntry(queueKey, entryId, fields);
}

/** What a look for stale entries asks of its lane. */
export interface TakeoverLane {
  isQuiet(): boolean;
  /** A token that is admitted now is begun now. */
  hasRoom(): boolean;
  /** Reads and begins nothing more; resolves when nothing younger than `ms` is in its hands. */
  withdraw(ms: number): Promise<void>;
  /** Executes one token; resolves when it is settled, or after `ms`. */
  execute(token: ReadyToken, poison: boolean, ms: number): Promise<void>;
  /** Reads again. */
  readOn(): void;
}

/** Looks of one lane. */
export class Takeover {
  readonly #o: LaneOptions;
  readonly #lane: TakeoverLane;
  #looking: Promise<boolean> | null = null;

  constructor(options: LaneOptions, lane: TakeoverLane) {
    this.#o = options;
    this.#lane = lane;
  }

  /** Whether a look is under way. */
  get isLooking(): boolean {
    return this.#looking !== null;
  }

  /**
   * Executes what is stale, entry by entry; or joins the look under way. Resolves to whether some of
   * what was handed back is left, for want of room.
   */
  look(): Promise<boolean> {
    return (this.#looking ??= this.#takeStale().finally(() => (this.#looking = null)));
  }

  async #takeStale(): Promise<boolean> {
    const { redis, reader, leaseMs, unreadable } = this.#o;
    const found = await findStale(redis, reader.openKeys, leaseMs, BATCH_MAX + unreadable.size);
    const stale = found.filter((entry) => !unreadable.isLeft(entry));
    const isLeft = !(await this.#takeAll(stale.filter(({ deliveries }) => deliveries === 0)));
    const others = stale.filter(({ deliveries }) => deliveries > 0);
    if (others.length > 0) {
      await this.#takeAlone(others).finally(() => this.#lane.readOn());
    }
    return isLeft;
  }

  /** Whether there was room for all. */
  async #takeAll(entries: readonly StaleEntry[]): Promise<boolean> {
    for (const entry of entries) {
      if (this.#lane.isQuiet() || !this.#lane.hasRoom()) {
        return false;
      }
      await this.#take(entry, 0);
    }
    return true;
  }

  async #takeAlone(entries: readonly StaleEntry[]): Promise<void> {
    const { nowMs } = this.#o;
    let untilMs = -Infinity;
    for (const entry of entries) {
      if (nowMs() > untilMs) {
        // Between two stretches of this the lane reads on.
        this.#lane.readOn();
        await nextTurn();
        await this.#lane.withdraw(ALONE_MS);
        untilMs = nowMs() + ALONE_MS;
      }
      if (this.#lane.isQuiet() || !this.#lane.hasRoom()) {
        return;
      }
      await this.#take(entry, ALONE_MS);
    }
  }

  /** Executes one stale entry, if it is still that; waits so long for it. Never fails. */
  async #take(entry: StaleEntry, waitMs: number): Promise<void> {
    const { redis, scripts, consumer, leaseMs, deliveriesMax, logger } = this.#o;
    try {
      // What is begun before a new epoch is heard of would be in vain.
      await scripts.look();
      const token = await claim(redis, scripts.keys.meta, entry, consumer, leaseMs);
      if (token !== null) {
        await this.#lane.execute(token, entry.deliveries >= deliveriesMax, waitMs);
      }
    } catch (error) {
      logger.warn({ err: error, entry: entry.entryId }, "stale entry not taken over");
    }
  }
}
