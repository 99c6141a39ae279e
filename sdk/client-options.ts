/** What a client is made with, and how long its calls wait. */
import type { Clock } from "./clock.ts";
import type { Database, PostgresTarget } from "./postgres/index.ts";

export interface ClientOptions {
  /** `redis://…`, `rediss://…` or `unix:///path`. */
  redisUrl: string;
  /** One that is shared with other parts and stays open, or where it is. */
  database: Database | PostgresTarget;
  /** How long a submission waits for its answer, and every other call for Redis. Default 10 s. */
  submitTimeoutMs?: number;
  /** How long the first connection to Redis may take. Default 5 s. */
  connectTimeoutMs?: number;
  clock?: Clock;
}

export interface WaitOptions {
  /** Gives up with the signal's reason. */
  signal?: AbortSignal;
  /** Gives up with GV_AWAIT_TIMED_OUT; without it, never. */
  timeoutMs?: number;
}

export interface FollowOptions extends WaitOptions {
  /** Position of the last transition that is known already. */
  after?: string;
}
