/**
 * Every Redis key of the engine, built here and nowhere else (docs/redis-keys.md tells what each
 * holds, what bounds it and what removes it).
 *
 * All keys of a partition carry the hash tag `{p}`, so that one script may touch them together on
 * a Redis Cluster too.
 */
import calculateSlot from "cluster-key-slot";
import type { Priority } from "../compiler/ir.ts";

export const GROUP = "workers";
export const INTAKE_GROUP = "intake";
/** Of a run that is submitted: children have ids of their own form. */
export const RUN_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
export const PRIORITIES: readonly Priority[] = ["high", "normal", "low"];

/** Keys without a partition; never used together with others in a script. */
export const globalKeys = {
  /** Facts fixed when a deployment is created: id, partitions, layout. */
  deployment: "gv:deployment",
  submissions: "gv:submissions",
  replies: "gv:submissions:replies",
  /** Answers to one client's submissions. */
  repliesOf: (client: string): string => `gv:submissions:replies:${client}`,
  ir: (hash: string): string => `gv:ir:${hash}`,
  /** IR hashes by time of last use, so that unused ones can be removed. */
  irUse: "gv:ir",
  /**
   * Queues that workers leave alone, namespace included, EVERY_QUEUE and PAUSES_TOLD; a copy of what
   * Postgres has.
   */
  pausedQueues: "gv:paused",
  /** The next free start under a rate limit, by the digest of its key (sdk/redis/rate-scripts.ts). */
  rate: (digest: string): string => `gv:rate:{${digest}}`,
  /** There while a server that was asked too often is left alone; of the key above. */
  rateCool: (rateKey: string): string => `${rateKey}:cool`,
  /** When the next one may begin after those that have; of the same key. */
  rateBegun: (rateKey: string): string => `${rateKey}:begun`,
  /** A circuit with failures, by the digest of its name (sdk/redis/circuit-scripts.ts). */
  circuit: (digest: string): string => `gv:circuit:{${digest}}`,
  /** Standing namespaces by the time at which a run of theirs was started last. */
  namespaces: "gv:namespaces",
  /** Names of circuits by the time of their last trouble: for people. */
  circuits: "gv:circuits",
} as const;

/** Matches the streams of all queues in all partitions. */
export const ALL_QUEUES = "gv:{*}:q:*";
/** A member of `gv:paused`, no queue: a supervisor has told, so what is not in it is not paused. */
export const PAUSES_TOLD = "";
/** A member of `gv:paused`, no queue: the deployment is stopped. */
export const EVERY_QUEUE = "*";

export interface PartitionKeys {
  /** What all of them match, for the one who empties a partition. */
  pattern: string;
  /** What the keys of all its queues begin with. */
  queues: string;
  ev: string;
  meta: string;
  /** What workers have measured of `ev`, for a second. */
  backlog: string;
  timers: string;
  halted: string;
  release: string;
  tombs: string;
  /** Runs that are paused, or resumed but not yet with all that was held for them. */
  paused: string;
  /** What audits have found, by run. */
  findings: string;
  /** Entries that no worker could read. */
  quarantine: string;
  /** Never exists (sdk/redis/script-runner.ts). */
  guard: string;
  /** A run; an element of a map or a map, by their names (sdk/unit.ts). */
  run(unit: string): string;
  /** Outputs of a run that are too large to stand in its hash. */
  blobs(id: string): string;
  /** The same while somebody who puts the run back has them ready; expires. */
  staged(id: string, nonce: string): string;
  /** Names of the maps of a run that have keys. */
  maps(runId: string): string;
  /** Signals of a run (not of a map element): kept ones, accepted ids, who waits for which. */
  signals(runId: string): string;
  /** Epoch of the run's last redrive, for as long as another may come late. */
  redriven(id: string): string;
  /** Entries of a paused run. */
  held(id: string): string;
  queue(queue: string, priority: Priority): string;
  /** The same for tokens of entry nodes: runs that have begun go first. */
  entryQueue(queue: string, priority: Priority): string;
}

/** The keys of partition `p`. */
export function partitionKeys(p: number): PartitionKeys {
  const tag = `gv:{${p}}:`;
  return {
    pattern: `${tag}*`,
    queues: `${tag}q:`,
    ev: `${tag}ev`,
    meta: `${tag}meta`,
    backlog: `${tag}backlog`,
    timers: `${tag}timers`,
    halted: `${tag}halted`,
    release: `${tag}release`,
    tombs: `${tag}tombs`,
    paused: `${tag}paused`,
    findings: `${tag}findings`,
    quarantine: `${tag}quarantine`,
    guard: `${tag}guard`,
    run: (unit) => `${tag}run:${unit}`,
    blobs: (id) => `${tag}run:${id}:blobs`,
    staged: (id, nonce) => `${tag}run:${id}:staged:${nonce}`,
    maps: (runId) => `${tag}run:${runId}:maps`,
    signals: (runId) => `${tag}run:${runId}:signals`,
    redriven: (id) => `${tag}run:${id}:redriven`,
    held: (id) => `${tag}run:${id}:held`,
    queue: (queue, priority) => `${tag}q:${queue}:${priority}`,
    entryQueue: (queue, priority) => `${tag}q:${queue}:${priority}${ENTRY_SUFFIX}`,
  };
}

export interface QueueKey {
  partition: number;
  /** `ns:<id>:` of the run, or "". */
  namespace: string;
  /** Queue name without namespace: `fn:charge`, `kind:http`, … */
  queue: string;
  priority: Priority;
}

const ENTRY_SUFFIX = ":new";
const QUEUE_KEY = /^gv:\{(\d+)\}:q:(ns:[^:]+:)?(.+):(high|normal|low)(?::new)?$/;

/** Whether a queue's key is that of the tokens of entry nodes. */
export function isEntryQueue(key: string): boolean {
  return key.endsWith(ENTRY_SUFFIX);
}

/** Read by every worker, whichever nodes it serves. */
export const COMMON_QUEUE = "kind:parallel";

/**
 * That queue, of the same partition, namespace and priority: for what needs any
 * living worker (`executesNothing`). scripts/include/queue_of_all.lua makes the same of a key.
 */
export function commonQueueKey(queueKey: string): string {
  const place = parseQueueKey(queueKey);
  if (place === null) {
    return queueKey;
  }
  const { partition, namespace, priority } = place;
  return partitionKeys(partition).queue(`${namespace}${COMMON_QUEUE}`, priority);
}

/** Takes a queue's key apart; null if it is not one. */
export function parseQueueKey(key: string): QueueKey | null {
  const match = QUEUE_KEY.exec(key);
  if (match === null) {
    return null;
  }
  return {
    partition: Number(match[1]),
    namespace: match[2] ?? "",
    queue: match[3] ?? "",
    priority: match[4] as Priority,
  };
}

export interface RunKey {
  runId: string;
  /** unit: a map or an element of one. */
  part: "run" | "unit" | "blobs" | "staged" | "maps" | "signals" | "redriven" | "held";
}

const RUN_KEY = /^([^:!]+)(!.+|:(blobs|maps|signals|redriven|held|staged)(?::[^:]+)?)?$/;

/** Whose a key of a partition is; null if it is no run's. */
export function parseRunKey(keys: PartitionKeys, key: string): RunKey | null {
  const prefix = keys.run("");
  const match = key.startsWith(prefix) ? RUN_KEY.exec(key.slice(prefix.length)) : null;
  if (match === null) {
    return null;
  }
  const [, runId = "", more, part] = match;
  return { runId, part: (part ?? (more === undefined ? "run" : "unit")) as RunKey["part"] };
}

/** The run that was submitted, of whose tree this one is: itself, or what its id begins with. */
export function rootOf(runId: string): string {
  return runId.split("~", 1)[0] ?? runId;
}

/**
 * The partition of a run: by its root's id, so that children stay with their root. `partitions`
 * is a power of two up to 16,384 (then CRC16 modulo slots modulo P is CRC16 modulo P).
 */
export function partitionOf(runId: string, partitions: number): number {
  if (partitions === 1) {
    return 0;
  }
  return calculateSlot(rootOf(runId)) % partitions;
}
