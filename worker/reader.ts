/**
 * Reads ready tokens of one partition: every queue that this worker can execute.
 *
 * The streams form levels: high before normal before low, and within a priority the tokens of runs
 * that have begun before those of entry nodes. So a backlog of new runs does not make every run
 * slow: those on their way end first, and fewer are in flight. A level that was full at the last
 * look hides those below it; every FAIR-th look asks all of them, so each gets at least a share of
 * 1/FAIR of the looks, however much stands above it. Nobody knows which streams have filled since the
 * last look, and Redis gives of each as many as it is told: so those that had plenty are asked for the
 * room, and the others, in the same round trip, for a share as if all of them were full. Groups are
 * created at 0, so an entry that was added before its group is delivered too (21 A14). What else a lane
 * has to hear of Redis before it executes what it has read comes in the same round trip (news.ts).
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import {
  createGroups,
  GROUP,
  parseEntry,
  parseQueueKey,
  PRIORITIES,
  type PartitionKeys,
  type ReadyToken,
} from "../sdk/internal.ts";
import { LATE_MS, type News } from "./news.ts";
import type { Garbage } from "./quarantine.ts";

export interface ReadBatch {
  tokens: ReadyToken[];
  /** Entries that are not tokens. */
  garbage: Garbage[];
}

type StreamReply = [string, [string, string[] | null][]][] | null;

/**
 * Every so often all levels are asked, whatever stands in the upper ones. Not oftener: such a look
 * takes as many new runs as steps of old ones, and if more begin than end, all are in flight at last
 * (a chain of n steps ends one run in n tokens).
 */
const FAIR = 32;
/** Of a stream that had no plenty: so that single tokens, now and then, do not make it one that has. */
const SHARE_MIN = 2;
/** A read that was not there yet when it was to end is told so again after this. */
const END_AGAIN_MS = 50;

export class QueueReader {
  readonly queueKeys: readonly string[];
  /** No queue is read at all. */
  isHalted = false;
  /** All queues are paused: what was read is not begun either. */
  isStopped = false;
  readonly #redis: Redis;
  /** Of the connection that reads. */
  readonly #clientId: number;
  readonly #consumer: string;
  readonly #news: News;
  /** Streams per level. */
  readonly #width: number;
  readonly #levelOf = new Map<string, number>();
  /** Levels to ask: those down to the first that was full. */
  #levels: number;
  #looks = 0;
  /** Streams of paused queues. */
  #paused: ReadonlySet<string> = new Set();
  /** Streams whose share was full at their last look: they have the room, the others a little of it. */
  readonly #busy = new Set<string>();

  constructor(options: {
    /** A connection of its own: it blocks. */
    redis: Redis;
    /** Its id at the server. */
    clientId: number;
    keys: PartitionKeys;
    /** Queue names, namespace included. */
    queues: readonly string[];
    consumer: string;
    news: News;
  }) {
    const { keys, queues } = options;
    this.#redis = options.redis;
    this.#clientId = options.clientId;
    this.#consumer = options.consumer;
    this.#news = options.news;
    const levels = PRIORITIES.flatMap((priority) => [
      queues.map((queue) => keys.queue(queue, priority)),
      queues.map((queue) => keys.entryQueue(queue, priority)),
    ]);
    levels.forEach((level, at) => level.forEach((key) => this.#levelOf.set(key, at)));
    this.queueKeys = levels.flat();
    this.#width = queues.length;
    this.#levels = levels.length;
  }

  /** Whether this stream is read at present. */
  isOpen(key: string): boolean {
    return this.#levelOf.has(key) && !this.#paused.has(key) && !this.isHalted && !this.isStopped;
  }

  /** Streams that it may read: all but those of paused queues. */
  get openKeys(): readonly string[] {
    return this.#open(this.queueKeys);
  }

  /** Leaves these queues alone from its next read on; names with their namespace. Null: all. */
  pause(queues: ReadonlySet<string> | null): void {
    this.isStopped = queues === null;
    const paused = this.queueKeys.filter((key) => {
      const parsed = queues?.size === 0 ? null : parseQueueKey(key);
      return parsed !== null && (queues?.has(parsed.namespace + parsed.queue) ?? true);
    });
    this.#paused = new Set(paused);
  }

  #open(keys: readonly string[]): readonly string[] {
    if (this.isHalted) {
      return [];
    }
    return this.#paused.size === 0 ? keys : keys.filter((key) => !this.#paused.has(key));
  }

  /** Creates streams and groups that are missing. */
  async createGroups(redis: Redis): Promise<void> {
    await createGroups(redis, this.queueKeys, GROUP);
  }

  /** After a read that failed: creates the groups if that was for want of one, else false. */
  async mend(redis: Redis, error: unknown): Promise<boolean> {
    if (!(error instanceof Error) || !error.message.startsWith("NOGROUP")) {
      return false;
    }
    await this.createGroups(redis).catch(() => undefined);
    return true;
  }

  /**
   * Waits up to `blockMs` for tokens: about `room` of them at most from streams that had plenty, and as
   * many, or two of each, from the others.
   */
  async read(room: number, blockMs: number): Promise<ReadBatch> {
    const all = this.queueKeys.length / Math.max(1, this.#width);
    this.#looks += 1;
    const levels = this.#looks % FAIR === 0 ? all : this.#levels;
    let reply = await this.#ask(levels, room, levels < all ? null : blockMs);
    if (reply === null && levels < all) {
      reply = await this.#ask(all, room, blockMs);
    }
    return this.#take(reply);
  }

  /** Resolves when `reading`, which never fails, has; a read that only waits for tokens ends now. */
  async endWait(commands: Redis, reading: Promise<void>): Promise<void> {
    const over = new AbortController();
    const ended = reading.then(() => over.abort());
    while (!over.signal.aborted) {
      await commands.client("UNBLOCK", this.#clientId).catch(() => 0);
      const again = sleep(END_AGAIN_MS, undefined, over).catch(() => undefined);
      await Promise.race([ended, again]);
    }
  }

  async #ask(levels: number, room: number, blockMs: number | null): Promise<StreamReply> {
    const streams = this.#open(this.queueKeys.slice(0, levels * this.#width));
    if (streams.length === 0) {
      await sleep(blockMs ?? 0);
      await this.#news.look(this.#redis);
      return null;
    }
    const busy = streams.filter((key) => this.#busy.has(key));
    const others = streams.filter((key) => !this.#busy.has(key));
    const share = Math.min(room, Math.max(SHARE_MIN, Math.ceil(room / streams.length)));
    const shares = [
      { keys: busy, count: Math.ceil(room / Math.max(1, busy.length)) },
      { keys: others, count: share },
    ].filter(({ keys }) => keys.length > 0);
    // What is busy is not waited for: whoever waits asks all alike.
    const waitMs = busy.length === 0 ? blockMs : null;
    const reply = await this.#send(shares, waitMs);
    const brought = new Map(reply?.map(([key, entries]) => [key, entries.length]));
    const full: string[] = [];
    for (const { keys, count } of shares) {
      for (const key of keys) {
        const found = brought.get(key) ?? 0;
        this.#busy[found >= share ? "add" : "delete"](key);
        if (found >= count) {
          full.push(key);
        }
      }
    }
    const first = Math.min(...full.map((key) => this.#levelOf.get(key) ?? 0));
    this.#levels = Number.isFinite(first) ? first + 1 : this.queueKeys.length / this.#width;
    return reply ?? (waitMs === blockMs ? null : this.#ask(levels, room, blockMs));
  }

  async #send(
    shares: readonly { keys: readonly string[]; count: number }[],
    blockMs: number | null,
  ): Promise<StreamReply> {
    const block = blockMs === null ? [] : ["BLOCK", blockMs];
    const pipeline = this.#redis.pipeline();
    for (const { keys, count } of shares) {
      const from = ["STREAMS", ...keys, ...keys.map(() => ">")];
      pipeline.call(
        "XREADGROUP",
        "GROUP",
        GROUP,
        this.#consumer,
        "COUNT",
        count,
        ...block,
        ...from,
      );
    }
    this.#news.ask(pipeline);
    const askedMs = performance.now();
    const replies = (await pipeline.exec()) ?? [];
    const reads = replies.slice(0, shares.length);
    const found = reads.flatMap(([, reply]) => (reply as StreamReply) ?? []);
    const failed = reads.find(([error]) => error !== null)?.[0];
    // What one of two has brought is in this worker's hands.
    if (found.length === 0 && (reads.length === 0 || failed !== undefined)) {
      throw failed ?? new Error("the queues were not read");
    }
    // The event loop may have been blocked, or a cluster has held the read back.
    const isLate = performance.now() - askedMs > (blockMs ?? 0) + LATE_MS;
    await this.#news.hearOrLook(this.#redis, replies.slice(shares.length), isLate);
    const levelOf = ([key]: (typeof found)[number]): number => this.#levelOf.get(key) ?? 0;
    return found.length === 0 ? null : found.sort((a, b) => levelOf(a) - levelOf(b));
  }

  #take(reply: StreamReply): ReadBatch {
    const batch: ReadBatch = { tokens: [], garbage: [] };
    for (const [queueKey, entries] of reply ?? []) {
      for (const [entryId, fields] of entries) {
        const token = parseEntry(queueKey, entryId, fields ?? []);
        if (token === null) {
          batch.garbage.push({ queueKey, entryId, fields: fields ?? [] });
        } else {
          batch.tokens.push(token);
        }
      }
    }
    return batch;
  }
}
