/**
 * Which queues are paused, one small set for the whole process.
 *
 * A worker executes nothing before it has heard of them. On a cluster the server that has the set may
 * be away; then Postgres is asked, whose word it is in any case (supervisor/pauses.ts).
 */
import type { Redis } from "ioredis";
import { globalKeys, inTime, isOfCluster } from "../sdk/internal.ts";
import type { WorkerOptions } from "./options.ts";

const ANSWER_MS = 1000;

export class PausedQueues {
  readonly #redis: Redis;
  readonly #stored: WorkerOptions["stored"];
  /** The question under way: no second one waits for a server that is away. */
  #asked: Promise<string[]> | null = null;

  constructor(redis: Redis, stored: WorkerOptions["stored"]) {
    this.#redis = redis;
    this.#stored = stored;
  }

  /** Their names, with their namespace; null: nobody who knows answers. */
  async look(): Promise<ReadonlySet<string> | null> {
    this.#asked ??= this.#ask();
    const told = isOfCluster(this.#redis) ? inTime(this.#asked, ANSWER_MS, null) : this.#asked;
    const names = (await told) ?? (await this.#askStored());
    return names === null ? null : new Set(names);
  }

  async #askStored(): Promise<readonly string[] | null> {
    const asked = this.#stored?.pausedQueues().catch(() => null);
    return asked === undefined ? null : inTime(asked, ANSWER_MS, null);
  }

  async #ask(): Promise<string[]> {
    try {
      return await this.#redis.smembers(globalKeys.pausedQueues);
    } finally {
      this.#asked = null;
    }
  }
}
