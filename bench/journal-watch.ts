/**
 * Watching the journal as a client of the stream does: when did what happen, by this process's
 * clock. What is measured includes the way of the news to here, as for every client.
 */
import {
  connectRedis,
  parseJournalRecord,
  partitionKeys,
  type Redis,
  type Transition,
} from "../sdk/internal.ts";

/** A transition and when it was heard of, in ms of performance.now(). */
export interface Heard {
  atMs: number;
  transition: Transition;
}

type StreamReply = [string, [string, string[]][]][] | null;

export class JournalWatch {
  readonly #redis: Redis;
  readonly #key = partitionKeys(0).ev;
  #lastId: string;
  #heard: Heard[] = [];

  private constructor(redis: Redis, lastId: string) {
    this.#redis = redis;
    this.#lastId = lastId;
  }

  /** Watches from now on. */
  static async open(redisUrl: string): Promise<JournalWatch> {
    const redis = connectRedis({ url: redisUrl }, "bench:journal");
    const [entry] = await redis.xrevrange(partitionKeys(0).ev, "+", "-", "COUNT", 1);
    return new JournalWatch(redis, entry?.[0] ?? "0-0");
  }

  /** Everything heard until `isLast` says so, that one included; the next call goes on behind it. */
  async until(isLast: (transition: Transition) => boolean): Promise<Heard[]> {
    for (;;) {
      const at = this.#heard.findIndex(({ transition }) => isLast(transition));
      if (at >= 0) {
        return this.#heard.splice(0, at + 1);
      }
      const read = ["BLOCK", 1000, "STREAMS", this.#key, this.#lastId];
      const reply = (await this.#redis.call("XREAD", ...read)) as StreamReply;
      const atMs = performance.now();
      for (const [id, fields] of reply?.[0]?.[1] ?? []) {
        this.#lastId = id;
        const { transitions } = parseJournalRecord(id, fields);
        this.#heard.push(...transitions.map((transition) => ({ atMs, transition })));
      }
    }
  }

  close(): void {
    this.#redis.disconnect();
  }
}
