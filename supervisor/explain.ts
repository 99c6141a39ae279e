/**
 * Why does a run not move? Answered from what Redis holds: the records of its tokens, the queues,
 * the pending lists, the timers.
 *
 * Reads only, and in bounded pages. What it sees may be a moment old in parts, so it explains; the
 * watch (stalled.ts) repairs only what has not moved for minutes.
 */
import type { Redis } from "ioredis";
import type { Ir } from "../compiler/ir.ts";
import {
  chainReach,
  GROUP,
  PRIORITIES,
  parseEntry,
  mapUnit,
  parseRecord,
  parseWait,
  partitionKeys,
  type TokenRecord,
  type WaitInfo,
} from "../sdk/internal.ts";
import { waitText } from "./wait-text.ts";

export type Reason = {
  /** Id of the node, if it is about one. */
  node?: string;
  scope?: string;
  /** The same for people. */
  text: string;
} & (
  | { kind: "not_in_redis" }
  | { kind: "ended"; status: string }
  | { kind: "finishing" }
  | { kind: "paused"; causes: string; held: number }
  | { kind: "timer"; dueMs: number | null }
  | { kind: "rate_limit"; dueMs: number | null; key: string }
  | { kind: "wait"; dueMs: number | null; wait: WaitInfo }
  | { kind: "retry"; dueMs: number | null; attempt: number }
  | { kind: "map"; total: number; done: number; running: number }
  | { kind: "queued"; queue: string; ahead: number }
  | { kind: "no_worker"; queue: string }
  | { kind: "executing"; queue: string; consumer: string; forMs: number; deliveries: number }
  | { kind: "lost_entry"; queue: string; entryId: string | null; token: LostToken }
);

/** What is needed to put a lost token back. */
export interface LostToken {
  queueKey: string;
  runId: string;
  epoch: string;
  node: number;
  irHash: string;
  record: TokenRecord;
}

export interface Explanation {
  runId: string;
  /** Status in Redis: running, finishing, …; null: not there. */
  status: string | null;
  reasons: Reason[];
}

export interface ExplainTarget {
  redis: Redis;
  partition: number;
  runId: string;
  /** The run's workflow by hash; null if it is not known. */
  irOf(hash: string): Promise<Ir | null>;
  /** Queues that a living worker reads, if known: names without namespace. */
  served?: ReadonlySet<string>;
}

const PAGE = 1000;
const PAGES_MAX = 20;
const TOKENS_MAX = 100;
/** A group whose consumers have all been silent for longer has no worker. */
const CONSUMER_SILENT_MS = 60_000;

interface Token {
  index: number;
  id: string;
  record: TokenRecord;
  queue: string;
  queueKey: string;
  /** The stream in which its entry stands if it is an entry node's, or a chain that began there. */
  entryKey: string;
  /** Key of the node's rate limit as its author wrote it. */
  limit?: string;
}

/** Explains one run. Costs some reads per open token. */
export async function explainRun(target: ExplainTarget): Promise<Explanation> {
  const { redis, runId } = target;
  const keys = partitionKeys(target.partition);
  const hash = await redis.hgetall(keys.run(runId));
  const status = hash.s ?? null;
  if (status === null) {
    const text = "the run is not in Redis: not started yet, released, or lost with Redis";
    return { runId, status, reasons: [{ kind: "not_in_redis", text }] };
  }
  if (status === "finishing") {
    const text = "waits for a worker to evaluate its output template";
    return { runId, status, reasons: [{ kind: "finishing", text }] };
  }
  if (status === "paused") {
    const causes = hash.ps ?? "";
    const held = await redis.llen(keys.held(runId));
    const by = causes.includes("w") ? "with its workflow" : "by itself";
    const text = `paused ${by}: ${held} token(s) wait until it is resumed`;
    return { runId, status, reasons: [{ kind: "paused", causes, held, text }] };
  }
  if (status !== "running") {
    const text = `the run has ended (${status}) and waits to be archived and released`;
    return { runId, status, reasons: [{ kind: "ended", status, text }] };
  }
  const ir = await target.irOf(hash.ir ?? "");
  const reasons: Reason[] = [];
  for (const token of openTokens(target, hash, ir).slice(0, TOKENS_MAX)) {
    reasons.push(await explainToken(target, hash, token));
  }
  return { runId, status, reasons };
}

function openTokens(target: ExplainTarget, hash: { [f: string]: string }, ir: Ir | null): Token[] {
  const keys = partitionKeys(target.partition);
  const [namespace = "", priority] = (hash.m ?? "").split("|");
  const level = PRIORITIES.find((known) => known === priority) ?? "normal";
  return Object.entries(hash).flatMap(([field, value]) => {
    const index = /^n\d+$/.test(field) ? Number(field.slice(1)) : -1;
    const record = index < 0 ? null : parseRecord(value);
    if (record === null || !"arwkmg".includes(record.state)) {
      return [];
    }
    if (!isCurrent(hash, record.scope)) {
      return [];
    }
    const node = ir?.nodes[index];
    const queue = ir?.queues[node?.queue ?? -1] ?? "?";
    const queueKey = keys.queue(namespace + queue, level);
    const entryKey = keys.entryQueue(namespace + queue, level);
    const id = node?.id ?? String(index);
    const limit = node?.rate_limit === undefined ? {} : { limit: node.rate_limit.key || id };
    return [{ index, id, record, queue, queueKey, entryKey, ...limit }];
  });
}

/** Tokens of a round that is over are void. */
function isCurrent(hash: { [field: string]: string }, scope: string): boolean {
  const elements = scope === "" ? [] : scope.split("/");
  return elements.every((element, i) => {
    const latch = element.slice(0, element.indexOf(":"));
    return hash[`l${latch}`] === elements.slice(0, i + 1).join("/");
  });
}

async function explainToken(
  target: ExplainTarget,
  hash: { [field: string]: string },
  token: Token,
): Promise<Reason> {
  const { id: node, record } = token;
  const { scope, state } = record;
  if (state === "m") {
    return { node, scope, ...(await explainMap(target, token)) };
  }
  if (state !== "a" && state !== "k" && state !== "g") {
    const timers = partitionKeys(target.partition).timers;
    const member = hash[`d${token.index}`];
    const score = member === undefined ? null : await target.redis.zscore(timers, member);
    const dueMs = score === null ? null : Number(score);
    const wait = parseWait(hash[`w${token.index}`])?.wait;
    if (state === "w" && wait !== undefined) {
      return { kind: "wait", node, scope, dueMs, wait, text: waitText(wait, dueMs) };
    }
    const at = dueMs === null ? "no timer is armed" : new Date(dueMs).toISOString();
    const limit = state === "w" ? token.limit : undefined;
    if (limit !== undefined) {
      const text = `waiting for a slot of rate limit ${limit} until ${at}`;
      return { kind: "rate_limit", node, scope, dueMs, key: limit, text };
    }
    return state === "r"
      ? { kind: "retry", node, scope, dueMs, attempt: record.attempt, text: `next attempt: ${at}` }
      : { kind: "timer", node, scope, dueMs, text: `waiting for timer until ${at}` };
  }
  return { node, scope, ...(await explainEntry(target, hash, token)) };
}

/** How far a map is. Of its elements nothing more is said. */
async function explainMap(target: ExplainTarget, { index, record }: Token): Promise<Reason> {
  const key = partitionKeys(target.partition).run(mapUnit(target.runId, record.scope, index));
  const fields = await target.redis.hmget(key, "n", "next", "done");
  const [total = 0, next = 0, done = 0] = fields.map(Number);
  const running = next - done;
  const text = `${done} of ${total} elements have ended, ${running} are on their way`;
  return { kind: "map", total, done, running, text };
}

async function explainEntry(
  target: ExplainTarget,
  hash: { [field: string]: string },
  token: Token,
): Promise<Reason> {
  const { redis, runId } = target;
  const { queue, record } = token;
  const ir = await target.irOf(hash.ir ?? "");
  const inEntries = await findEntry(target, token, token.entryKey, ir);
  const isThere = typeof inEntries?.id === "string";
  const queueKey = isThere ? token.entryKey : token.queueKey;
  const group = await readGroup(redis, queueKey);
  const found = isThere
    ? inEntries
    : ((await findEntry(target, token, token.queueKey, ir)) ?? inEntries);
  if (found === null || (found.id !== null && group.delivered(found.id))) {
    const entryId = found?.id ?? null;
    const [pending] = entryId === null ? [] : await pendingOf(redis, queueKey, entryId);
    if (pending !== undefined) {
      const [, consumer, forMs, deliveries] = pending;
      const text = `executing on ${consumer} for ${Math.round(forMs / 1000)} s`;
      return { kind: "executing", queue, consumer, forMs, deliveries, text };
    }
    const irHash = hash.ir ?? "";
    const lost = { queueKey, runId, epoch: hash.e ?? "", node: token.index, irHash, record };
    const text = `lost entry: its token is active but nobody holds it (${queue})`;
    return { kind: "lost_entry", queue, entryId, token: lost, text };
  }
  const served = target.served?.has(queue) ?? group.consumers > 0;
  if (!served) {
    return { kind: "no_worker", queue, text: `queued in ${queue}: no worker reads it` };
  }
  const ahead = found.ahead;
  const where = found.id === null ? `more than ${ahead}` : String(ahead);
  return { kind: "queued", queue, ahead, text: `queued in ${queue} behind ${where} entries` };
}

interface Group {
  /** Consumers heard of lately. */
  consumers: number;
  /** Whether an entry was delivered to somebody. */
  delivered(id: string): boolean;
}

async function readGroup(redis: Redis, queueKey: string): Promise<Group> {
  const groups = (await redis.xinfo("GROUPS", queueKey).catch(() => [])) as unknown[][];
  const info = groups.map(asMap).find((group) => group.name === GROUP);
  const last = String(info?.["last-delivered-id"] ?? "0-0");
  const list = info === undefined ? [] : await redis.xinfo("CONSUMERS", queueKey, GROUP);
  const alive = (list as unknown[][])
    .map(asMap)
    .filter((consumer) => Number(consumer.idle) < CONSUMER_SILENT_MS);
  return { consumers: alive.length, delivered: (id) => compareIds(id, last) <= 0 };
}

/**
 * Looks for a token's entry in a stream: its own, or that of the chain which has come to it. Null:
 * it is not there. `id` null: not found within the pages looked at, so it is behind at least
 * `ahead` others.
 */
async function findEntry(
  target: ExplainTarget,
  token: Token,
  stream: string,
  ir: Ir | null,
): Promise<{ id: string | null; ahead: number } | null> {
  let from = "-";
  let ahead = 0;
  for (let page = 0; page < PAGES_MAX; page++) {
    const entries = await target.redis.xrange(stream, from, "+", "COUNT", PAGE);
    for (const [id, fields] of entries) {
      const entry = parseEntry(stream, id, fields);
      const { scope, attempt } = token.record;
      if (entry?.unit === target.runId && entry.scope === scope) {
        const isOwn = entry.node === token.index && entry.attempt === attempt;
        if (isOwn || (ir !== null && chainReach(ir, entry.node).includes(token.index))) {
          return { id, ahead };
        }
      }
      ahead++;
    }
    if (entries.length < PAGE) {
      return null;
    }
    from = `(${entries.at(-1)?.[0] ?? "-"}`;
  }
  return { id: null, ahead };
}

type Pending = [id: string, consumer: string, idleMs: number, deliveries: number];

async function pendingOf(redis: Redis, queueKey: string, id: string): Promise<Pending[]> {
  return (await redis.xpending(queueKey, GROUP, id, id, 1)) as Pending[];
}

function asMap(flat: readonly unknown[]): { [name: string]: unknown } {
  const map: { [name: string]: unknown } = {};
  for (let i = 0; i + 1 < flat.length; i += 2) {
    map[String(flat[i])] = flat[i + 1];
  }
  return map;
}

/** Compares stream ids: negative, 0, positive. */
export function compareIds(a: string, b: string): number {
  const [aMs = 0, aSeq = 0] = a.split("-").map(Number);
  const [bMs = 0, bSeq = 0] = b.split("-").map(Number);
  return aMs - bMs || aSeq - bSeq;
}
