/**
 * Why does a run not move? Answered from what Redis holds: the records of its tokens and of those in
 * its maps, its joins, the queues, the pending lists, the timers. docs/why.md has every answer.
 *
 * Reads only. What it sees of the run is of one moment; queues and workers are looked at a moment
 * later. So it explains; the watch (stalled.ts) repairs only what has not moved for minutes.
 */
import type { Redis } from "ioredis";
import type { Ir } from "../compiler/ir.ts";
import {
  bodyAt,
  mapUnit,
  openTokens,
  parseUnit,
  parseWait,
  partitionKeys,
  PAUSE_CAUSES,
  type OpenToken,
  type RunSnapshot,
  type TokenRecord,
  type WaitInfo,
} from "../sdk/internal.ts";
import { readSnapshot } from "./audit/read-snapshot.ts";
import { StreamIndex } from "./audit/streams.ts";
import { waitText } from "./wait-text.ts";
import { joinText, waitingJoins, type MissingArrival } from "./why/joins.ts";
import { explainEntry, LEASE_MS, type PlaceContext } from "./why/place.ts";

export type Reason = {
  /** Id of the node, if it is about one. */
  node?: string;
  scope?: string;
  /** Of a token in a map: the home of its element (sdk/unit.ts). */
  home?: string;
  /** The same for people. */
  text: string;
} & (
  | { kind: "not_in_redis" }
  | { kind: "not_started" }
  | { kind: "concurrency"; key: string; limit: number; holders: string[]; ahead: number }
  | { kind: "start_rate"; key: string; limit: number; dueMs: number | null; ahead: number }
  | { kind: "tenant"; tenant: string; running: number; ahead: number }
  | { kind: "asleep"; sinceMs: number; dueMs: number | null }
  | { kind: "uncertified" }
  | { kind: "postgres_away" }
  | { kind: "ended"; status: string }
  | { kind: "finishing" }
  | { kind: "suspect" }
  | { kind: "paused"; causes: string; held: number }
  | { kind: "held" }
  | { kind: "join"; missing: MissingArrival[] }
  | { kind: "timer"; dueMs: number | null }
  | { kind: "rate_limit"; dueMs: number | null; key: string }
  | { kind: "wait"; dueMs: number | null; wait: WaitInfo; child?: string }
  | { kind: "retry"; dueMs: number | null; attempt: number }
  | { kind: "map"; total: number; done: number; failed: number; running: number }
  | { kind: "queued"; queue: string; ahead: number }
  | { kind: "queue_paused"; queue: string }
  | { kind: "no_worker"; queue: string }
  | {
      kind: "executing";
      queue: string;
      consumer: string;
      /** Since its entry was queued, ms: at most so long. */
      forMs: number;
      deliveries: number;
      /** No sign of life of its worker; taken over in so many ms. */
      isSilent: boolean;
      takeoverMs: number | null;
      /** The node at which the chain began that has come to it. */
      chainFrom: string | null;
    }
  | { kind: "lost_entry"; queue: string; entryId: string | null; token: LostToken }
);

/** What is needed to put a lost token back. */
export interface LostToken {
  queueKey: string;
  /** Its unit: the run, or an element of a map. */
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
  /** After so long of silence a worker's entry is taken over. Default: that of the workers. */
  leaseMs?: number;
}

const STREAM_PAGES_MAX = 20;
const TOKENS_MAX = 100;

/** Explains one run. Costs some reads per open token. */
export async function explainRun(target: ExplainTarget): Promise<Explanation> {
  const { redis, partition, runId, leaseMs = LEASE_MS, served } = target;
  const streams = new StreamIndex(redis, STREAM_PAGES_MAX);
  const irOf = (hash: string): Promise<Ir | null> => target.irOf(hash);
  const snapshot = await readSnapshot(redis, partition, runId, irOf, streams);
  if (snapshot === null) {
    const text = "the run is not in Redis: not started yet, released, or lost with Redis";
    return { runId, status: null, reasons: [{ kind: "not_in_redis", text }] };
  }
  if (snapshot === "moving") {
    return { runId, status: "running", reasons: [] };
  }
  const run = snapshot.units.get(runId) ?? {};
  const status = run["s"] ?? null;
  const whole = explainStatus(snapshot, run);
  const goesOn = status === "running" || status === "paused";
  const ir = goesOn ? await irOf(run["ir"] ?? "") : null;
  if (ir === null) {
    return { runId, status, reasons: whole };
  }
  const tokens = openTokens(ir, snapshot.units);
  const context: PlaceContext = { redis, snapshot, leaseMs, served };
  const reasons: Reason[] = [];
  for (const token of tokens.slice(0, TOKENS_MAX)) {
    const about = { node: token.node.id, scope: token.record.scope, ...homeOf(token.unit) };
    reasons.push({ ...about, ...(await explainToken(partition, context, token)) });
  }
  return { runId, status, reasons: [...whole, ...reasons, ...explainJoins(ir, snapshot, tokens)] };
}

function homeOf(unit: string): { home?: string } {
  const { home } = parseUnit(unit);
  return home === "" ? {} : { home };
}

/** What is to be said of the run as a whole. */
const PAUSED_BY = [
  [PAUSE_CAUSES.run, "by itself"],
  [PAUSE_CAUSES.workflow, "with its workflow"],
  [PAUSE_CAUSES.errors, "after errors in a row (settings.pause_after_errors)"],
  [PAUSE_CAUSES.parent, "with its parent"],
] as const;

function explainStatus(snapshot: RunSnapshot, run: { [field: string]: string }): Reason[] {
  const status = run["s"] ?? "";
  switch (status) {
    case "running":
      return [];
    case "finishing":
      return [{ kind: "finishing", text: "waits for a worker to evaluate its output template" }];
    case "suspect": {
      const text = "frozen, because a script failed half-way: a supervisor rebuilds it";
      return [{ kind: "suspect", text }];
    }
    case "paused": {
      const causes = run["ps"] ?? "";
      const held = snapshot.entries.filter(({ state }) => state === "held").length;
      const by = PAUSED_BY.flatMap(([cause, text]) => (causes.includes(cause) ? [text] : []));
      const text = `paused ${by.join(" and ")}: ${held} token(s) wait until it is resumed`;
      return [{ kind: "paused", causes, held, text }];
    }
    default: {
      const text = `the run has ended (${status}) and waits to be archived and released`;
      return [{ kind: "ended", status, text }];
    }
  }
}

function explainJoins(ir: Ir, snapshot: RunSnapshot, tokens: readonly OpenToken[]): Reason[] {
  return [...snapshot.units].flatMap(([unit, hash]): Reason[] => {
    const body = hash["by"] === undefined ? bodyAt(ir, hash["ir"] ?? "") : null;
    const own = tokens.filter((token) => token.unit === unit);
    return (body === null ? [] : waitingJoins(body, hash, own)).map((join): Reason => {
      const { node, scope, missing } = join;
      return { kind: "join", node, scope, ...homeOf(unit), missing, text: joinText(join) };
    });
  });
}

async function explainToken(
  partition: number,
  context: PlaceContext,
  token: OpenToken,
): Promise<Reason> {
  const { hash, index, record, node } = token;
  const { state } = record;
  if (state === "m") {
    return explainMap(context.snapshot, token);
  }
  if (state === "a" || state === "k" || state === "g") {
    const reason = await explainEntry(context, token);
    return reason.kind === "lost_entry"
      ? placed(partition, context.snapshot, token, reason)
      : reason;
  }
  const member = hash[`d${index}`];
  const dueMs = member === undefined ? null : (context.snapshot.timers.get(member) ?? null);
  const wait = parseWait(hash[`w${index}`])?.wait;
  if (state === "w" && wait !== undefined) {
    const child = context.snapshot.children.get(wait.run ?? "")?.["s"];
    const more = child === undefined ? {} : { child };
    const text = waitText(wait, dueMs) + (child === undefined ? "" : ` (${child})`);
    return { kind: "wait", dueMs, wait, ...more, text };
  }
  const at = dueMs === null ? "no timer is armed" : new Date(dueMs).toISOString();
  if (state === "w" && node.rate_limit !== undefined) {
    const key = node.rate_limit.key || node.id;
    const text = `waiting for a slot of rate limit ${key} until ${at}`;
    return { kind: "rate_limit", dueMs, key, text };
  }
  if (state === "r" && record.attempt > 1) {
    return { kind: "retry", dueMs, attempt: record.attempt, text: `next attempt: ${at}` };
  }
  return { kind: "timer", dueMs, text: `waiting for timer until ${at}` };
}

/** The queue in which a lost token belongs. */
function placed(
  partition: number,
  snapshot: RunSnapshot,
  token: OpenToken,
  reason: Reason & { kind: "lost_entry" },
): Reason {
  const [namespace = "", priority = "normal"] = (
    snapshot.units.get(snapshot.runId)?.["m"] ?? ""
  ).split("|");
  const queue = token.ir.queues[token.node.queue] ?? "";
  const level = priority === "high" || priority === "low" ? priority : "normal";
  const queueKey =
    reason.token.queueKey || partitionKeys(partition).queue(namespace + queue, level);
  return { ...reason, token: { ...reason.token, queueKey } };
}

/** How far a map is; its elements' tokens are explained on their own. */
function explainMap({ units }: RunSnapshot, { unit, index, record }: OpenToken): Reason {
  const hash = units.get(mapUnit(unit, record.scope, index)) ?? {};
  const [total = 0, next = 0, done = 0, failed = 0] = ["n", "next", "done", "failed"].map((field) =>
    Number(hash[field] ?? 0),
  );
  const running = next - done;
  const rest = total - next;
  const text =
    `${done} of ${total} elements have ended${failed > 0 ? `, ${failed} of them failed` : ""}, ` +
    `${running} are on their way${rest > 0 ? `, ${rest} wait for one of these to end` : ""}`;
  return { kind: "map", total, done, failed, running, text };
}
