/** What the services of one supervisor share. */
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { ScriptRunner, type Clock } from "../sdk/internal.ts";
import type { Cursor, Database, Deployment } from "../sdk/postgres/index.ts";
import type { SupervisorCounts } from "./counts.ts";
import type { Write } from "./guarded.ts";
import type { IrStore } from "./ir-store.ts";

export interface Rollback {
  partition: number;
  /** The cursor under its new epoch: what Postgres has. */
  cursor: Cursor;
  reason: string;
  /** Writes as long as nobody else rebuilds the partition. */
  write: Write;
}

export interface SupervisorContext {
  /** Name of this process among supervisors; consumer name in the intake's group. */
  id: string;
  db: Database;
  /** For commands; never blocked. */
  redis: Redis;
  /** Opens a connection that may block; on a cluster, to where the key `at` lies. */
  openRedis(name: string, at: string): Redis;
  deployment: Deployment;
  logger: Logger;
  clock: Clock;
  irs: IrStore;
  counts: SupervisorCounts;
  /** Characters of the journal that stay in Redis behind the archive, for the feed. */
  tailChars?: number;
  /** Aborted when the supervisor stops: ends waits for a certificate. */
  signal: AbortSignal;
  /**
   * Puts unfinished runs back into an emptied partition, by plain commands: until it returns, the
   * partition has no epoch and every script refuses.
   */
  onRollback(rollback: Rollback): Promise<void>;
}

const RUNNERS = new WeakMap<SupervisorContext, Map<number, ScriptRunner>>();

/** The scripts of a partition, on the shared connection. */
export function scriptsOf(context: SupervisorContext, partition: number): ScriptRunner {
  const runners = RUNNERS.get(context) ?? new Map<number, ScriptRunner>();
  RUNNERS.set(context, runners);
  let runner = runners.get(partition);
  if (runner === undefined) {
    const { redis, deployment, signal, logger } = context;
    const onUncertified = (waiting: boolean): void =>
      logger.info({ partition, waiting }, "waits for the partition's certificate");
    runner = new ScriptRunner({
      redis,
      deployment: deployment.id,
      partition,
      signal,
      onUncertified,
    });
    runners.set(partition, runner);
  }
  return runner;
}
