/**
 * Why does a run not move? Answered from what Redis holds: the records of its tokens and of those in
 * its maps, its joins, the queues, the pending lists, the timers. docs/why.md has every answer.
 *
 * Changes nothing of the run. What it sees of the run is of one moment; queues and workers are looked
 * at a moment later. So it explains; the watch (stalled.ts) repairs only what has not moved for
 * minutes.
 */
import type { Redis } from "ioredis";
import type { Ir } from "../compiler/ir.ts";
import {
  BACKLOG_BYTES_HARD,
  connectionAt,
  foreignText,
  partitionKeys,
  sharedBacklogBytes,
  type CircuitView,
  type ForeignKey,
  type TokenRecord,
  type WaitInfo,
} from "../sdk/internal.ts";
import { readSnapshot } from "./audit/read-snapshot.ts";
import { StreamIndex } from "./audit/streams.ts";
import type { MissingArrival } from "./why/joins.ts";
import { LEASE_MS, type PlaceContext } from "./why/place.ts";
import { explainSnapshot } from "./why/snapshot.ts";

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
  | { kind: "damaged"; keys: ForeignKey[] }
  | { kind: "not_started" }
  /** A compensation: what has to end first. */
  | { kind: "undoing"; runs: string[] }
  | { kind: "memory"; usedBytes: number; limitBytes: number }
  | { kind: "concurrency"; key: string; limit: number; holders: string[]; ahead: number }
  | { kind: "start_rate"; key: string; limit: number; dueMs: number | null; ahead: number }
  | { kind: "tenant"; tenant: string; running: number; ahead: number }
  | { kind: "falling_asleep" }
  | { kind: "waking" }
  | { kind: "stays_awake" }
  | { kind: "asleep"; sinceMs: number; dueMs: number | null }
  | { kind: "stopped" }
  | { kind: "uncertified" }
  | { kind: "postgres_away" }
  | { kind: "no_supervisor" }
  | { kind: "ended"; status: string }
  | { kind: "finishing" }
  | { kind: "suspect" }
  | { kind: "paused"; causes: string; held: number }
  | { kind: "held" }
  | { kind: "join"; missing: MissingArrival[] }
  | { kind: "timer"; dueMs: number | null }
  | { kind: "rate_limit"; dueMs: number | null; key: string }
  | { kind: "circuit"; dueMs: number | null; name: string; state: CircuitView["state"] | null }
  | { kind: "wait"; dueMs: number | null; wait: WaitInfo; child?: string }
  | { kind: "retry"; dueMs: number | null; attempt: number }
  | { kind: "map"; total: number; done: number; failed: number; running: number }
  | { kind: "queued"; queue: string; ahead: number }
  | { kind: "queue_paused"; queue: string }
  | { kind: "no_worker"; queue: string }
  | { kind: "saturated"; queue: string; ahead: number; workers: string[] }
  | { kind: "archive_behind"; queue: string; bytes: number; bytesMax: number }
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
  /** Tokens in flight that are not told of, because they are too many. */
  more: number;
}

export interface ExplainTarget {
  redis: Redis;
  partition: number;
  runId: string;
  /** The run's workflow by hash; null if it is not known. */
  irOf(hash: string): Promise<Ir | null>;
  /** Only what stands at this node, and what is to be said of the run as a whole. */
  node?: string | undefined;
  /** After so long of silence a worker's entry is taken over. Default: that of the workers. */
  leaseMs?: number;
  /** Workers that are known to live. */
  workers?: PlaceContext["workers"];
  /** How much the journal may take in Redis before workers read nothing. Default: theirs. */
  backlogBytesMax?: number;
}

const STREAM_PAGES_MAX = 20;

/** The time of the partition's server, to the second. */
export async function redisNowMs(redis: Redis, partition: number): Promise<number> {
  const server = connectionAt(redis, partitionKeys(partition).meta);
  return Number((await server.time())[0]) * 1000;
}

/** Explains one run. Costs some reads per token that it tells of. */
export async function explainRun(target: ExplainTarget): Promise<Explanation> {
  const { redis, partition, runId, node, leaseMs = LEASE_MS, workers = [] } = target;
  const irOf = (hash: string): Promise<Ir | null> => target.irOf(hash);
  const streams = new StreamIndex(redis, STREAM_PAGES_MAX);
  const snapshot = await readSnapshot(redis, partition, runId, irOf, streams);
  if (snapshot === null) {
    const text = "the run is not in Redis: not started yet, asleep, released, or lost with Redis";
    return { runId, status: null, reasons: [{ kind: "not_in_redis", text }], more: 0 };
  }
  if (Array.isArray(snapshot)) {
    const places = snapshot.map(foreignText).join("; ");
    const text =
      `its keys are damaged: ${places}. The run stands still until it is rebuilt from its journal: a ` +
      `supervisor does that after some minutes, ` +
      `"gavotte doctor --audit --repair --run ${runId}" at once`;
    return { runId, status: null, reasons: [{ kind: "damaged", keys: snapshot, text }], more: 0 };
  }
  if (snapshot === "moving") {
    return { runId, status: "running", reasons: [], more: 0 };
  }
  const nowMs = await redisNowMs(redis, partition);
  const { s: status = null, ir = "" } = snapshot.units.get(runId) ?? {};
  const bytes = await sharedBacklogBytes(redis, partitionKeys(partition));
  const backlog = { bytes, bytesMax: target.backlogBytesMax ?? BACKLOG_BYTES_HARD };
  const context = { redis, partition, snapshot, leaseMs, workers, backlog, nowMs };
  return { runId, status, ...(await explainSnapshot(context, await irOf(ir), node)) };
}
