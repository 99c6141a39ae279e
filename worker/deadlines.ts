/**
 * A timer in Redis beside the one in the worker, for nodes with a timeout: should the worker die or
 * hang, any other fails the node when it fires (21 B12, scripts/fire_timers.lua).
 *
 * Armed when a handler has not answered at once, and once per attempt: who takes the token over works
 * against the first deadline. Nodes without a timeout cost nothing. Plain commands: a timer changes
 * nothing by itself, and one that is left behind finds the token moved on.
 */
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { commonQueueKey, timerMember, type PartitionKeys } from "../sdk/internal.ts";
import type { Prepared } from "./prepared.ts";

export interface DeadlinesOptions {
  redis: Redis;
  keys: PartitionKeys;
  logger: Logger;
  /** The worker's own timer goes first, by this much. */
  graceMs: number;
  /** Redis' time, ms. */
  redisNowMs: () => number;
}

export class Deadlines {
  readonly #o: DeadlinesOptions;

  constructor(options: DeadlinesOptions) {
    this.#o = options;
  }

  /** Arms the timer of a node that is being executed; null if it has no timeout. */
  watch({ token, node }: Prepared): string | null {
    if (node.timeout_ms === null) {
      return null;
    }
    const { runId, unit, epoch, scope, attempt, queueKey } = token;
    const at = { runId: unit, epoch, node: token.node, scope, attempt };
    const member = timerMember({ kind: "dead", ...at, queue: commonQueueKey(queueKey) });
    const { redis, keys, graceMs, redisNowMs, logger } = this.#o;
    const dueMs = Math.ceil(redisNowMs() + node.timeout_ms + graceMs);
    redis.zadd(keys.timers, "NX", dueMs, member).catch((error: unknown) => {
      logger.warn({ err: error, run: runId }, "the node's deadline is only this worker's");
    });
    return member;
  }

  /** Takes a timer off; one that stays fires in vain. */
  unwatch(member: string | null): void {
    if (member !== null) {
      this.#o.redis.zrem(this.#o.keys.timers, member).catch(() => 0);
    }
  }
}
