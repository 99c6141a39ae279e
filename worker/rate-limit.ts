/**
 * `rate_limit` of a node: the worker that begins an execution reserves its start first.
 *
 * A start that lies ahead parks the token until then, so no worker is held. When it is resumed it is as
 * late as timers and workers make it, so it asks again before it begins (`rate-turns.ts`): right after
 * another one that was late it waits here for a moment, and where many are late, or a server that was
 * asked too often is left alone, for another start.
 * Every attempt is an execution and asks for itself. A worker that dies between its reservation and
 * what it did with it leaves a start unused: fewer executions, never more.
 */
import type { Logger } from "pino";
import type { IrNode } from "../compiler/ir.ts";
import { compileTemplate, type Template, type Vars } from "../condition/index.ts";
import {
  beginSlot,
  coolDown,
  parseQueueKey,
  rateKey,
  takeSlot,
  type ScriptRunner,
} from "../sdk/internal.ts";
import { backoffMs } from "./backoff.ts";
import type { Prepared } from "./prepared.ts";
import type { RateTurns } from "./rate-turns.ts";
import { fill, perNode, type ExecutionError } from "./kinds/kind.ts";

/** The status with which a server says that it was asked too often. */
const TOO_MANY = "HTTP_429";
/** Neither more nor less than the back-off says: the middle of its random part. */
const MIDDLE = 0.5;

export interface Slot {
  /** The evaluated key, or the node's id if the limit has none: for people. */
  key: string;
  /** Ms until the reserved start; 0: now. */
  waitMs: number;
}

const keyOf = perNode<{ template: Template }>((node) => ({
  template: compileTemplate(node.rate_limit?.key ?? ""),
}));

/** It has a start, which is now. */
export function wasParked(token: Prepared["token"]): boolean {
  return token.kind === "resumed";
}

/**
 * Reserves the start of a limited node and begins it if it is now, or begins the one that it has.
 * Rejects with BAD_INPUT if its key cannot be evaluated.
 */
export async function nodeSlot(
  { scripts, turns }: { scripts: ScriptRunner; turns: RateTurns },
  p: Prepared,
  vars: Vars,
): Promise<Slot> {
  const { text, redisKey } = placeOf(p, vars);
  const limit = p.node.rate_limit ?? { limit: 1, per_ms: 0 };
  const waitMs = wasParked(p.token) ? 0 : await takeSlot(scripts, redisKey, limit);
  if (waitMs > 0) {
    return { key: text, waitMs };
  }
  const begin = (holdMs: number): Promise<number> => beginSlot(scripts, redisKey, limit, holdMs);
  return { key: text, waitMs: await turns.begin(redisKey, limit, begin) };
}

/**
 * After a failure, without waiting: a server that was asked too often is left alone by
 * all of the limit's key, for as long as it asked for, or the back-off says.
 */
export function coolAfter(
  { scripts, logger }: { scripts: ScriptRunner; logger: Logger },
  p: Prepared,
  vars: Vars,
  error: ExecutionError,
): void {
  if (p.node.rate_limit === undefined || error.code !== TOO_MANY) {
    return;
  }
  const ms = error.retryAfterMs ?? backoffMs(p.node.retry, p.token.attempt, MIDDLE);
  coolDown(scripts, placeOf(p, vars).redisKey, ms).catch((cause: unknown) => {
    logger.warn({ err: cause, run: p.token.runId, node: p.node.id }, "rate limit not pushed back");
  });
}

function placeOf({ node, token, profile }: Prepared, vars: Vars): PlaceOfLimit {
  const key = keyText(node, vars);
  const namespace = parseQueueKey(token.queueKey)?.namespace ?? "";
  const redisKey = rateKey(namespace, key, `${profile.root.name}\0${node.id}`);
  return { text: key === "" ? node.id : key, redisKey };
}

interface PlaceOfLimit {
  text: string;
  redisKey: string;
}

function keyText(node: IrNode, vars: Vars): string {
  const value = fill(node, "rate_limit.key", keyOf(node).template, vars);
  return typeof value === "string" ? value : JSON.stringify(value);
}
