/**
 * Timers in Redis beside what a worker does (21 B12, scripts/fire_timers.lua).
 *
 * Of kind `late`, of a token that may not stand in its queue for long: scripts arm it with the token's
 * entry. It comes off when the node begins, not when its entry is read: what a worker has read may be
 * handed back, or be in its hands when it dies.
 *
 * Of kind `dead`, of a node with a timeout: should the worker die or hang, any other fails the node.
 * Armed when a handler has not answered at once, and once per attempt: who takes the token over works
 * against the first deadline. Nodes without a timeout cost nothing. Plain commands: a timer changes
 * nothing by itself, and one that is left behind finds the token moved on. What a worker leaves behind
 * that dies is taken off with its entries: by who settles a token, or finds that it is void.
 */
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import type { IrNode } from "../compiler/ir.ts";
import {
  chainAhead,
  commonQueueKey,
  timerMember,
  isFull,
  writeAnyway,
  type PartitionKeys,
  type ReadyToken,
  type RunProfile,
} from "../sdk/internal.ts";
import { isElsewhere, isQueued } from "./entry-place.ts";
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
    const member = memberOf(token);
    const { redis, keys, graceMs, redisNowMs, logger } = this.#o;
    const dueMs = Math.ceil(redisNowMs() + node.timeout_ms + graceMs);
    const arm = redis.zadd(keys.timers, "NX", dueMs, member).catch((error: unknown) => {
      if (!isFull(error)) {
        throw error;
      }
      return writeAnyway(redis, [["ZADD", keys.timers, "NX", dueMs, member]]);
    });
    arm.catch((error: unknown) => {
      logger.warn({ err: error, run: token.runId }, "the node's deadline is only this worker's");
    });
    return member;
  }

  /** A node begins: its token stands in its queue no more. */
  begun({ token, node }: Prepared): void {
    if (node.queue_timeout_ms !== undefined && isQueued(token)) {
      this.#remove([memberOf(token, "late")]);
    }
  }

  /** It waits, and stands in no queue: neither time goes on. Who had it before may have armed both. */
  putOff(p: Prepared): void {
    this.begun(p);
    if (isTimed(p.node)) {
      this.#remove([memberOf(p.token)]);
    }
  }

  /** Takes a timer off; one that stays fires in vain. */
  unwatch(member: string | null): void {
    if (member !== null) {
      this.#remove([member]);
    }
  }

  /**
   * Takes off what a worker before has armed for an entry of which no token is active any more.
   * `passed`: how far its chain came; absent: its run is over, and of a long chain one may be left.
   */
  leave(token: ReadyToken, profile: RunProfile, passed?: readonly number[]): void {
    const { nodes } = profile.ir;
    const { queue } = nodes[token.node] ?? {};
    const chain = passed ?? chainAhead(profile.ir, token.node);
    const members = [
      ...(isTimed(nodes[token.node]) ? [memberOf(token)] : []),
      ...(isElsewhere(token, profile) ? [] : chain)
        .filter((node) => isTimed(nodes[node]) && nodes[node]?.queue === queue)
        .map((node) => memberOf({ ...token, node, attempt: 1 })),
    ];
    if (members.length > 0) {
      this.#remove(members);
    }
  }

  #remove(members: readonly string[]): void {
    this.#o.redis.zrem(this.#o.keys.timers, ...members).catch(() => 0);
  }
}

function isTimed(node: IrNode | undefined): boolean {
  return typeof node?.timeout_ms === "number";
}

function memberOf(token: ReadyToken, kind: "dead" | "late" = "dead"): string {
  const { unit, epoch, node, scope, attempt, queueKey } = token;
  const at = { runId: unit, epoch, node, scope, attempt };
  return timerMember({ kind, ...at, queue: commonQueueKey(queueKey) });
}
