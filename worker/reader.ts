/**
 * Reads ready tokens of one partition: every queue that this worker can execute.
 *
 * The streams form levels: high before normal before low, and within a priority the tokens of runs
 * that have begun before those of entry nodes. So a backlog of new runs does not make every run
 * slow: those on their way end first, and fewer are in flight. A level that was full at the last
 * look hides those below it; every FAIR-th look asks all of them, so each gets at least a share of
 * 1/FAIR of the looks, however much stands above it. Groups are created at 0, so an entry that was
 * added before its group is delivered too (21 A14). What else a lane has to hear of Redis before it
 * executes what it has read comes in the same round trip (news.ts).
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

export interface ReadBatch {
  tokens: ReadyToken[];
  /** Entries that are not tokens. */
  garbage: { queueKey: string; entryId: string; fields: string[] }[];
}

type StreamReply = [string, [string, string[] | null][]][] | null;

/**
 * Every so often all levels are asked, whatever stands in the upper ones. Not oftener: such a look
 * takes as many new runs as steps of old ones, and if more begin than end, all are in flight at last
 * (a chain of n steps ends one run in n tokens).
 */
const FAIR = 32;
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
  /** Streams that brought something lately: how the room is shared among them. */
  #active = 1;

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

  /** Waits up to `blockMs` for tokens, about `room` of them at most. */
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
    const count = Math.max(1, Math.ceil(room / this.#active));
    if (streams.length === 0) {
      await sleep(blockMs ?? 0);
      await this.#news.look(this.#redis);
      return null;
    }
    const block = blockMs === null ? [] : ["BLOCK", blockMs];
    const pipeline = this.#redis.pipeline();
    pipeline.call(
      "XREADGROUP",
      "GROUP",
      GROUP,
      this.#consumer,
      "COUNT",
      count,
      ...block,
      "STREAMS",
      ...streams,
      ...streams.map(() => ">"),
    );
    this.#news.ask(pipeline);
    const askedMs = performance.now();
    const [read, ...news] = (await pipeline.exec()) ?? [];
    if (read === undefined || read[0] !== null) {
      throw read?.[0] ?? new Error("the queues were not read");
    }
    // The event loop may have been blocked, or a cluster has held the read back.
    const isLate = performance.now() - askedMs > (blockMs ?? 0) + LATE_MS;
    await this.#news.hearOrLook(this.#redis, news, isLate);
    const reply = read[1] as StreamReply;
    this.#active = Math.max(1, reply?.length ?? 1);
    const full = (reply ?? []).filter(([, entries]) => entries.length >= count);
    const first = Math.min(...full.map(([key]) => this.#levelOf.get(key) ?? 0));
    this.#levels = Number.isFinite(first) ? first + 1 : this.queueKeys.length / this.#width;
    return reply;
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
