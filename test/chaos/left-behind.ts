/** What dead workers leave in the groups of the queues: entries that lie with them, and their names. */
import { setTimeout as pause } from "node:timers/promises";
import { GROUP, partitionKeys, type Redis } from "../../sdk/internal.ts";
import { LEASE_MS, type ChaosStack } from "./stack.ts";

const LOOK_MS = 200;
const ENTRIES_MAX = 200;
const PATTERN = `${partitionKeys(0).queues}*`;

type Pending = [id: string, consumer: string, idleMs: number, deliveries: number][];

export class LeftBehind {
  readonly #redis: Redis;
  readonly #queues: readonly string[];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #longestMs = 0;

  private constructor(redis: Redis, queues: readonly string[]) {
    this.#redis = redis;
    this.#queues = queues;
    this.#running = this.#run();
  }

  /** Looks again and again from now on, at the queues that workers have made by now. */
  static async watch({ redis }: ChaosStack): Promise<LeftBehind> {
    const queues = new Set<string>();
    for (let cursor = "0"; ;) {
      const [next, keys] = await redis.scan(cursor, "MATCH", PATTERN, "COUNT", 1000);
      keys.forEach((key) => queues.add(key));
      cursor = next;
      if (cursor === "0") {
        return new LeftBehind(redis, [...queues]);
      }
    }
  }

  /** Ends it: the longest that an entry was seen to lie, ms; 0 if none lay longer than a lease. */
  async stop(): Promise<number> {
    this.#stop.abort();
    await this.#running;
    return this.#longestMs;
  }

  /** Members of the queues' groups. */
  async consumers(): Promise<{ all: number; fullest: number }> {
    const lists = await this.#ask((pipeline, key) => pipeline.xinfo("CONSUMERS", key, GROUP));
    const counts = lists.map((list) => list.length);
    return { all: counts.reduce((sum, n) => sum + n, 0), fullest: Math.max(0, ...counts) };
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const lists = await this.#ask((pipeline, key) =>
        pipeline.call("XPENDING", key, GROUP, "IDLE", LEASE_MS, "-", "+", ENTRIES_MAX),
      );
      const idle = (lists as Pending[]).flatMap((list) => list.map(([, , idleMs]) => idleMs));
      this.#longestMs = Math.max(this.#longestMs, ...idle);
      await pause(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #ask(
    command: (pipeline: ReturnType<Redis["pipeline"]>, key: string) => unknown,
  ): Promise<unknown[][]> {
    const pipeline = this.#redis.pipeline();
    this.#queues.forEach((key) => command(pipeline, key));
    const replies = (await pipeline.exec()) ?? [];
    return replies.map(([error, reply]) => (error === null ? (reply as unknown[]) : []));
  }
}
