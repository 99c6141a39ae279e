/** What a lane works with: one worker in one partition (lane.ts). */
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import type { CompletionItem, ScriptRunner } from "../sdk/internal.ts";
import type { ChildOptions } from "./children.ts";
import type { Circuits, Pass } from "./circuits.ts";
import type { Elements } from "./elements.ts";
import type { WorkerCounts } from "./counts.ts";
import type { Begun, Executor } from "./execute.ts";
import type { Prepared } from "./prepared.ts";
import type { Held, Leases } from "./leases.ts";
import type { Maps } from "./maps.ts";
import type { Preparer } from "./prepare.ts";
import type { RateTurns } from "./rate-turns.ts";
import type { QueueReader } from "./reader.ts";
import type { RunKindOptions } from "./run-kind.ts";
import type { Slots } from "./slots.ts";
import type { Trial } from "./trial.ts";
import type { Unreadable } from "./unreadable.ts";

export interface LaneOptions extends RunKindOptions, ChildOptions {
  redis: Redis;
  scripts: ScriptRunner;
  reader: QueueReader;
  preparer: Preparer;
  executor: Executor;
  elements: Elements;
  maps: Maps;
  leases: Leases;
  circuits: Circuits;
  counts: WorkerCounts;
  turns: RateTurns;
  unreadable: Unreadable;
  consumer: string;
  logger: Logger;
  slots: Slots;
  trial: Trial;
  leaseMs: number;
  deliveriesMax: number;
  /** Of a node, an element or a run. */
  outputBytesMax: number;
  /** Monotonic ms. */
  nowMs: () => number;
}

/** Settles a token with the item that `make` makes; null: it is settled elsewhere. */
export type Settle = (make: (() => CompletionItem) | null) => void;

/** A token in execution. */
export interface Task {
  p: Prepared;
  held: Held;
  /** Monotonic ms. */
  startedMs: number;
  vars: Begun["vars"];
  /** Its timer in Redis. */
  watched: string | null;
  /** Of a node with a circuit breaker, while it is executed. */
  pass: Pass | null;
  /** Its time in the queue is over. */
  isBegun: boolean;
  isOver: boolean;
}
