/**
 * Reads ready tokens of one partition: every queue that this worker can execute, all priorities, in
 * one blocking call.
 *
 * Streams are named in order of priority, and what a call brings is executed in that order; since
 * every call asks every stream, the low ones are never starved. Groups are created at 0, so an
 * entry that was added before its group is delivered too (21 A14).
 */
import type { Redis } from "ioredis";
import {
  GROUP,
  parseEntry,
  PRIORITIES,
  type PartitionKeys,
  type ReadyToken,
} from "../sdk/internal.ts";

export interface ReadBatch {
  tokens: ReadyToken[];
  /** Entries that are not tokens. */
  garbage: { queueKey: string; entryId: string; fields: string[] }[];
}

type StreamReply = [string, [string, string[] | null][]][] | null;

export class QueueReader {
  readonly queueKeys: readonly string[];
  readonly #redis: Redis;
  readonly #consumer: string;
  /** Streams that brought something lately: how the room is shared among them. */
  #active = 1;

  constructor(options: {
    /** A connection of its own: it blocks. */
    redis: Redis;
    keys: PartitionKeys;
    /** Queue names, namespace included. */
    queues: readonly string[];
    consumer: string;
  }) {
    this.#redis = options.redis;
    this.#consumer = options.consumer;
    this.queueKeys = PRIORITIES.flatMap((priority) =>
      options.queues.map((queue) => options.keys.queue(queue, priority)),
    );
  }

  /** Creates streams and groups that are missing. */
  async createGroups(redis: Redis): Promise<void> {
    const pipeline = redis.pipeline();
    for (const key of this.queueKeys) {
      pipeline.xgroup("CREATE", key, GROUP, "0", "MKSTREAM");
    }
    for (const [error] of (await pipeline.exec()) ?? []) {
      if (error !== null && !error.message.startsWith("BUSYGROUP")) {
        throw error;
      }
    }
  }

  /** Waits up to `blockMs` for tokens, about `room` of them at most. */
  async read(room: number, blockMs: number): Promise<ReadBatch> {
    const count = Math.max(1, Math.ceil(room / this.#active));
    const streams = [...this.queueKeys, ...this.queueKeys.map(() => ">")];
    const reply = (await this.#redis.call(
      "XREADGROUP",
      "GROUP",
      GROUP,
      this.#consumer,
      "COUNT",
      count,
      "BLOCK",
      blockMs,
      "STREAMS",
      ...streams,
    )) as StreamReply;
    const batch: ReadBatch = { tokens: [], garbage: [] };
    this.#active = Math.max(1, reply?.length ?? 1);
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
