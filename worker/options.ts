/** What a worker is made with. Defaults in `WORKER_DEFAULTS`; durations in ms, sizes in bytes. */
import type { Logger } from "pino";
import { BACKLOG_BYTES_HARD, type Clock, type RedisTarget } from "../sdk/internal.ts";
import type { HttpClient } from "./kinds/http-client.ts";
import { OUTPUT_BYTES_MAX } from "./output-text.ts";
import type { FunctionRegistry } from "./registry.ts";

/** What Postgres knows, for while a server of Redis is away, or when it has lost it. */
export interface StoredFacts {
  /** JSON text of an IR by its hash; null: nobody has stored one. */
  ir(hash: string): Promise<string | null>;
  /** Names of paused queues, with their namespace; EVERY_QUEUE: all is stopped. */
  pausedQueues(): Promise<readonly string[]>;
}

export interface WorkerOptions {
  redis: RedisTarget;
  /** The deployment's id and number of partitions. */
  deployment: string;
  partitions: number;
  registry: FunctionRegistry;
  logger: Logger;
  /** Unique among the live workers; consumer name and the `w` of the journal. */
  id: string;
  /** Tokens in execution at one time, in all partitions together. */
  concurrency?: number;
  /** `ns:<id>:` of the runs this worker serves, "" for the common queues. */
  namespace?: string;
  /** More queue names to read, for nodes with a `queue` of their own. */
  queues?: readonly string[];
  /** How long an entry may stay silent before another worker takes it over. */
  leaseMs?: number;
  /** For so long a thread renews the leases while a handler blocks the event loop, ms; 0: never. */
  blockedMsMax?: number;
  /** Bytes of a partition's journal in Redis, above which nothing is read from its queues. */
  backlogBytesMax?: number;
  /** Deliveries of one token without a result before it counts as poison. */
  deliveriesMax?: number;
  outputBytesMax?: number;
  http?: HttpClient;
  clock?: Clock;
  /** Without, only Redis is asked, for as long as it takes. */
  stored?: StoredFacts;
  secrets?: () => { [name: string]: string };
}

export const WORKER_DEFAULTS = {
  concurrency: 100,
  namespace: "",
  leaseMs: 30_000,
  blockedMsMax: 0,
  backlogBytesMax: BACKLOG_BYTES_HARD,
  deliveriesMax: 5,
  outputBytesMax: OUTPUT_BYTES_MAX,
} as const;

/** Items of one completion call, about 20 µs of Redis' time each. */
export const BATCH_MAX = 128;
/** What the items of one completion call do to other nodes: tokens handed on, arrivals at joins. */
export const BATCH_EFFECTS_MAX = 1024;
/** Characters that the items of one completion call put out; an item is never parted. */
export const BATCH_CHARS_MAX = 4 * 1024 * 1024;

/** Kinds that are not functions and that this worker executes from a queue. */
export const QUEUED_KINDS = [
  "http",
  "conditional",
  "parallel",
  "transform",
  "filter",
  "aggregate",
  "loop",
  "delay",
  "map",
  "subworkflow",
  "wait",
  "human",
] as const;
