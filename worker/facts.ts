/** What a worker says of itself. */
import type { Service } from "../sdk/internal.ts";
import type { WorkerCounts } from "./counts.ts";

export interface Worker extends Service {
  /** Names of the queues it reads, namespace included. */
  readonly queues: readonly string[];
  /** Tokens it holds now. */
  inFlight(): number;
  /** For metrics: what it counts, and how it stands. */
  facts(): WorkerFacts;
  /** Whether Redis answers. */
  ping(): Promise<void>;
  /** What handlers are at now, what was begun first at first. */
  executing(): Executing[];
}

export interface WorkerFacts {
  counts: WorkerCounts;
  slots: { used: number; max: number };
  /** Tokens that it has read and not settled. */
  held: number;
  /** Partitions that it works in, and how many there are. */
  lanes: number;
  partitions: number;
  /** Of workflows: how often they were here, and how often read. */
  workflows: { hits: number; misses: number };
}

export interface Executing {
  run: string;
  node: string;
  /** Since it was read, ms. */
  ms: number;
}
