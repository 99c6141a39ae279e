/**
 * What one partition's lane is made of. Here the parts of a worker are put together, and nothing is
 * begun: a lane that is made holds nothing and reads nothing before it is run (index.ts).
 */
import type { Logger } from "pino";
import type { Redis, ScriptRunner } from "../sdk/internal.ts";
import { Ahead } from "./ahead.ts";
import type { Circuits } from "./circuits.ts";
import type { WorkerCounts } from "./counts.ts";
import { Elements, type MapNames } from "./elements.ts";
import { Executor } from "./execute.ts";
import { createHttpClient } from "./kinds/http-client.ts";
import { Lane } from "./lane.ts";
import type { LeaseGuard } from "./lease-guard.ts";
import { leaseSlots, LeaseTable } from "./lease-table.ts";
import { Leases } from "./leases.ts";
import { Maps } from "./maps.ts";
import type { News } from "./news.ts";
import type { WORKER_DEFAULTS, WorkerOptions } from "./options.ts";
import { Preparer } from "./prepare.ts";
import type { RateTurns } from "./rate-turns.ts";
import type { QueueReader } from "./reader.ts";
import { Recall } from "./recall.ts";
import type { Slots } from "./slots.ts";
import type { Trial } from "./trial.ts";
import { Unreadable } from "./unreadable.ts";
import type { Workflows } from "./workflows.ts";

/** What the lanes of a worker have together. */
export interface Shared {
  workflows: Workflows;
  circuits: Circuits;
  turns: RateTurns;
  slots: Slots;
  counts: WorkerCounts;
  trial: Trial;
  names: MapNames;
}

/** Of one partition. */
export interface LaneParts {
  options: WorkerOptions & typeof WORKER_DEFAULTS;
  shared: Shared;
  partition: number;
  /** The server of the partition. */
  redis: Redis;
  scripts: ScriptRunner;
  reader: QueueReader;
  news: News;
  logger: Logger;
  /** Null: nobody renews leases while the event loop is blocked. */
  guard: LeaseGuard | null;
}

export interface MadeLane {
  lane: Lane;
  leases: Leases;
  recall: Recall;
}

/** Puts a lane together; its leases are guarded from now on. */
export function makeLane(parts: LaneParts): MadeLane {
  const { options: o, shared, partition, redis, scripts, reader, news, logger, guard } = parts;
  const nowMs = (): number => performance.now();
  const slots = leaseSlots(o.concurrency);
  const table = o.blockedMsMax > 0 ? new LeaseTable(reader.queueKeys, slots) : null;
  const leases = new Leases({ scripts, consumer: o.id, leaseMs: o.leaseMs, nowMs, table });
  if (table !== null) {
    table.beat(nowMs());
    guard?.guard({ partition, queues: reader.queueKeys, buffer: table.buffer });
  }
  const secrets = o.secrets ?? ((): { [name: string]: string } => ({}));
  const calling = { registry: o.registry, http: o.http ?? createHttpClient(), secrets, logger };
  const executor = new Executor({
    workerId: o.id,
    secrets,
    random: Math.random,
    outputBytesMax: o.outputBytesMax,
    ahead: new Ahead({ ...calling, reader, nowMs }),
  });
  const elements = new Elements(redis, scripts.keys, shared.names);
  const preparer = new Preparer(redis, shared.workflows, partition, news, elements);
  const everyMs = o.leaseMs / 3;
  const recall = new Recall({ redis, leases, preparer, everyMs, nowMs });
  const about = { redis, scripts, consumer: o.id, leaseMs: o.leaseMs, logger, nowMs };
  const lane = new Lane({
    ...about,
    elements,
    maps: new Maps(scripts, shared.workflows),
    reader,
    ...shared,
    preparer,
    executor,
    leases,
    unreadable: new Unreadable({ ...about, ...shared }),
    ...calling,
    deliveriesMax: o.deliveriesMax,
    outputBytesMax: o.outputBytesMax,
  });
  return { lane, leases, recall };
}
