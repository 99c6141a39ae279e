/**
 * Which queues are paused, one small set for the whole process, and whether all is stopped.
 *
 * A worker executes nothing before it has heard of them. The set also says that somebody has told:
 * should Redis have lost it, or on a cluster the server that has it be away, Postgres is asked,
 * whose word it is in any case (supervisor/pauses.ts). While nobody who knows answers, what was heard
 * last holds.
 */
import type { Redis } from "ioredis";
import { EVERY_QUEUE, globalKeys, inTime, isOfCluster, PAUSES_TOLD } from "../sdk/internal.ts";
import type { WorkerOptions } from "./options.ts";

const ANSWER_MS = 1000;

export class PausedQueues {
  readonly #redis: Redis;
  readonly #stored: WorkerOptions["stored"];
  /** The question under way: no second one waits for a server that is away. */
  #asked: Promise<string[]> | null = null;
  /** As last heard. */
  #names: ReadonlySet<string> | null = null;

  constructor(redis: Redis, stored: WorkerOptions["stored"]) {
    this.#redis = redis;
    this.#stored = stored;
  }

  /** Whether the whole deployment is stopped, as last heard. */
  get isStopped(): boolean {
    return this.#names?.has(EVERY_QUEUE) === true;
  }

  /** Those to leave alone, with their namespace; null: all, because of a stop or nobody has told. */
  async look(): Promise<ReadonlySet<string> | null> {
    this.#asked ??= this.#ask();
    const told = isOfCluster(this.#redis) ? inTime(this.#asked, ANSWER_MS, null) : this.#asked;
    const heard = await told;
    const isWhole = heard?.includes(PAUSES_TOLD) === true || this.#stored === undefined;
    const names = isWhole ? heard : await this.#askStored();
    this.#names = names === null ? this.#names : new Set(names);
    return this.isStopped ? null : this.#names;
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
