/**
 * The supervisor: everything that is nobody's step. It takes submissions in, archives the journal
 * and finalises runs, fires timers, certifies partitions, tidies up, and says why a run stands
 * still. It decides no step of any run.
 *
 * Any number of supervisors may run. Intake, timers, sweeps and the watch over stalled runs run in
 * each of them; what a partition has only one of runs in the one that holds its role.
 */
import { setMaxListeners } from "node:events";
import { hostname } from "node:os";
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { uuidv7 } from "uuidv7";
import { compile as compileWorkflow } from "../compiler/index.ts";
import {
  connectionAt,
  connectRedis,
  GavotteError,
  partitionKeys,
  shownUrl,
  startAll,
  stopAll,
  systemClock,
  type Clock,
  type ConnectOptions,
  type Service,
} from "../sdk/internal.ts";
import {
  assertSchema,
  connectPostgres,
  ensureDeployment,
  type Database,
} from "../sdk/postgres/index.ts";
import { AuditSampler } from "./audit/sampler.ts";
import { checkedInTime } from "./certify.ts";
import { clusterWatch, type ClusterWatch } from "./cluster-watch.ts";
import { CompileGuard } from "./compile-guard.ts";
import type { Rollback, SupervisorContext } from "./context.ts";
import { SupervisorCounts } from "./counts.ts";
import { Intake } from "./intake.ts";
import { IrStore } from "./ir-store.ts";
import { LimitWatch } from "./limits.ts";
import { LoadGauge, type Load } from "./load-gauge.ts";
import { createPartition } from "./partition.ts";
import { Reaper } from "./reaper.ts";
import { within } from "./loop.ts";
import { PauseWatch } from "./pauses.ts";
import { rebuildRuns } from "./rebuild.ts";
import { Retention, type RetentionOptions } from "./retention.ts";
import { Roles, type Role, type RolesTimes } from "./roles.ts";
import { StalledWatch, type StalledRun } from "./stalled.ts";
import { StartSweep } from "./start-sweep.ts";
import { Starter } from "./starter.ts";
import { Timers } from "./timers.ts";
import type { Compile } from "./workflows.ts";

export {
  auditContext,
  auditPartition,
  repairDrifts,
  type AuditReport,
  type RepairReport,
} from "./audit/audit.ts";
export { findDrifts, type AuditContext } from "./audit/audit-run.ts";
export { countSupervisors } from "./roles.ts";
export { prunePage, type PruneContext, type PrunedPage } from "./prune.ts";
export { TIGHT_SHARE } from "./memory-gauge.ts";
export { explainRun, type Explanation, type ExplainTarget, type Reason } from "./explain.ts";
export type { KeptFinding } from "./audit/sampler.ts";
export { whyRun, type WhyTarget } from "./why/why.ts";
export type { Rollback, SupervisorContext } from "./context.ts";
export type { StalledRun } from "./stalled.ts";
export type { SupervisorCounts } from "./counts.ts";
export type { Load } from "./load-gauge.ts";
export type { PartitionLoad, QueueLoad } from "./partition-gauge.ts";
export type { Compile, CompileDiagnostic } from "./workflows.ts";

export interface SupervisorOptions {
  redisUrl: string;
  /** A database that is shared with other parts, or the URL of one. */
  database: Database | { url: string; connectionsMax?: number; singleSession?: boolean };
  /** Partitions of a deployment that this supervisor may create; a power of two. */
  partitions?: number;
  logger: Logger;
  /** Stands for the compiler in tests. */
  compile?: Compile;
  clock?: Clock;
  /** Name among supervisors; made up if absent. */
  id?: string;
  /** Runs without news for longer than this are explained. */
  stalledAfterMs?: number;
  /** Runs that the continuous audit looks at; 0: none. */
  auditRunsPerMinute?: number;
  /** Runs that one named tenant may have in progress; 0: no end. Default TENANT_RUNS_MAX. */
  tenantRunsMax?: number;
  /** Runs that wait for longer than this, and for longer still, leave Redis; 0: none does. */
  hibernateAfterMs?: number;
  /** Runs that ended so long ago are deleted; without it none is. */
  retention?: RetentionOptions;
  /** Journal records of a partition not yet archived, above which intake pauses. */
  backlogRecordsMax?: number;
  /** Bytes of a partition's journal in Redis, above which intake pauses. */
  backlogBytesMax?: number;
  /** When roles are looked at, and lost; for tests. */
  rolesTimes?: RolesTimes;
  /** Puts unfinished runs back after Redis was rolled back. */
  onRollback?: (rollback: Rollback, context: SupervisorContext) => Promise<void>;
}

export interface Supervisor extends Service {
  /** Runs that stand still, as last looked. */
  stalled(): readonly StalledRun[];
  /** Roles held by this process. */
  roles(): string[];
  /** For metrics: what it counts, and how it stands; null: it does not run. */
  facts(): Promise<SupervisorFacts | null>;
  /** Whether Redis answers. */
  ping(): Promise<void>;
}

export interface SupervisorFacts {
  counts: SupervisorCounts;
  load: Load;
  /** Roles that it holds, partitions among them, and how many partitions there are. */
  roles: number;
  held: number;
  partitions: number;
  /** Runs that stand still, as last looked. */
  stalled: number;
  /** Of workflows: how often they were here, and how often read. */
  workflows: { hits: number; misses: number };
}

/** Runs in progress of one named tenant, unless configured. */
export const TENANT_RUNS_MAX = 1000;

/** Version of the layout of keys in Redis that this program reads and writes. */
export const LAYOUT = 1;

/** Between two words about a Redis that a start waits for. */
const AWAY_TOLD_MS = 10_000;

/** Lock of the one role that is not a partition's. */
const RETENTION_KEY = -1;

interface Parts {
  services: Service[];
  roles: Roles;
  stalled: StalledWatch;
  facts(): Promise<SupervisorFacts>;
  ping(): Promise<unknown>;
  /** Ends waits for certificates. */
  abort(): void;
  close(): Promise<void>;
}

/** Makes a supervisor; it connects when started. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  let parts: Parts | null = null;
  let opening: Promise<Parts> | null = null;
  let stopping: Promise<void> | null = null;
  const giveUp = new AbortController();
  return {
    name: "supervisor",
    async start() {
      if (parts === null && stopping === null) {
        opening = open(options, giveUp.signal);
        parts = await opening;
        await startAll(parts.services, 5000).catch(async (error: unknown) => {
          await parts?.close();
          throw error;
        });
      }
    },
    stop(deadlineMs) {
      stopping ??= (async () => {
        giveUp.abort();
        await within(opening?.catch(() => undefined) ?? Promise.resolve(), deadlineMs);
        parts?.abort();
        await stopAll(parts?.services ?? [], deadlineMs);
        await parts?.close();
      })();
      return stopping;
    },
    stalled: () => parts?.stalled.runs ?? [],
    roles: () => parts?.roles.held ?? [],
    facts: () => parts?.facts() ?? Promise.resolve(null),
    ping: async () => {
      if (parts === null || stopping !== null) {
        throw new Error("the supervisor does not run");
      }
      await parts.ping();
    },
  };
}

/** Opens all that it needs; `giveUp` ends the wait for a Redis that is away. */
async function open(options: SupervisorOptions, giveUp: AbortSignal): Promise<Parts> {
  const shared = "query" in options.database ? options.database : null;
  const db = shared ?? connectPostgres({ name: "supervisor", ...(options.database as object) });
  const id = options.id ?? `${hostname()}-${process.pid}-${uuidv7().slice(-6)}`;
  const opened: Redis[] = [];
  const connect = (name: string, more: ConnectOptions = {}): Redis => {
    const redis = connectRedis({ url: options.redisUrl }, `${name} ${id}`, more);
    opened.push(redis);
    return redis;
  };
  const openRedis = (name: string, at: string): Redis => connect(name, { at });
  const redis = connect("supervisor");
  const abort = new AbortController();
  // As many waits may stand on it as there are loops and script calls.
  setMaxListeners(0, abort.signal);
  const close = async (): Promise<void> => {
    abort.abort();
    opened.forEach((redis) => redis.disconnect());
    await (shared === null ? db.close() : undefined);
  };
  const isAway = tellWhileAway(redis, options);
  const end = (): void => opened.forEach((one) => one.disconnect());
  giveUp.addEventListener("abort", end);
  let watch: ClusterWatch | null = null;
  try {
    giveUp.throwIfAborted();
    const context = await contextOf(options, { db, id, redis, openRedis, signal: abort.signal });
    watch = clusterWatch(context);
    await watch?.start(); // says what this one may have to wait for
    // One that cannot be told now is looked at before anything is certified.
    await checkedInTime(context);
    giveUp.throwIfAborted();
    const parts = servicesOf(options, context);
    const services = watch === null ? parts.services : [watch, ...parts.services];
    return { ...parts, services, abort: () => abort.abort(), close };
  } catch (error) {
    await watch?.stop(0);
    await close();
    throw error;
  } finally {
    giveUp.removeEventListener("abort", end);
    isAway.over();
  }
}

/** Says so as long as a start waits for a Redis that cannot be reached: it would wait without a word. */
function tellWhileAway(redis: Redis, { logger, redisUrl }: SupervisorOptions): { over(): void } {
  let toldMs = -Infinity;
  const heard = ({ message: reason }: Error): void => {
    const nowMs = systemClock.monotonicMs();
    if (nowMs - toldMs >= AWAY_TOLD_MS) {
      toldMs = nowMs;
      const facts = { redis: shownUrl(redisUrl), reason };
      logger.warn(facts, "Redis cannot be reached: the start waits for it; check redis_url");
    }
  };
  redis.on("error", heard);
  return { over: () => void redis.off("error", heard) };
}

async function contextOf(
  options: SupervisorOptions,
  own: Pick<SupervisorContext, "db" | "id" | "redis" | "openRedis" | "signal">,
): Promise<SupervisorContext> {
  const { logger, clock = systemClock, partitions } = options;
  await assertSchema(own.db);
  const wanted = { id: uuidv7(), partitions: partitions ?? 1, layout: LAYOUT };
  const deployment = await ensureDeployment(own.db, wanted);
  if (partitions !== undefined && deployment.partitions !== partitions) {
    throw new GavotteError(
      "GV_PARTITION_MISMATCH",
      `this deployment has ${deployment.partitions} partitions, not ${partitions}; ` +
        "the number is fixed when a deployment is created: correct the configuration",
    );
  }
  if (deployment.layout !== LAYOUT) {
    const found = `this deployment has key layout ${deployment.layout}, this program ${LAYOUT}`;
    throw new GavotteError("GV_SCHEMA_OUTDATED", `${found}; start the version that made it`);
  }
  const irs = new IrStore(own.db);
  const onRollback = async (rollback: Rollback): Promise<void> => {
    await (options.onRollback ?? rebuildRuns)(rollback, context);
  };
  const context: SupervisorContext = {
    ...own,
    ...{ deployment, logger, clock, irs, counts: new SupervisorCounts(), onRollback },
    // The tail counts as backlog too: it stays a small part of what is allowed.
    ...(options.backlogBytesMax === undefined ? {} : { tailChars: options.backlogBytesMax / 8 }),
  };
  return context;
}

function servicesOf(
  options: SupervisorOptions,
  context: SupervisorContext,
): Omit<Parts, "abort" | "close"> {
  const { compile = compileWorkflow, backlogRecordsMax, backlogBytesMax, stalledAfterMs } = options;
  const { auditRunsPerMinute = 0, tenantRunsMax = TENANT_RUNS_MAX } = options;
  const { hibernateAfterMs = 0 } = options;
  const starter = new Starter(context);
  const limits = new LimitWatch(context, starter, tenantRunsMax);
  const partitions = Array.from({ length: context.deployment.partitions }, (_, p) => p);
  const timers = partitions.map((p) => new Timers(context, p));
  const ofPartition = (p: number): Role => ({
    key: p,
    name: `partition ${p}`,
    open: () => {
      const onDue = (dueMs: number): void => timers[p]?.expect(dueMs);
      const hooks = { onDue, onEnded: (ids: readonly string[]) => limits.ended(ids) };
      return createPartition(context, p, hooks, hibernateAfterMs);
    },
  });
  const { retention } = options;
  const ofAll: Role[] =
    retention === undefined
      ? []
      : [{ key: RETENTION_KEY, name: "retention", open: () => new Retention(context, retention) }];
  const all = [...partitions.map(ofPartition), ...ofAll];
  const roles = new Roles(context.db, context.logger, all, options.rolesTimes);
  const limit = {
    ...(backlogRecordsMax === undefined ? {} : { backlogRecordsMax }),
    ...(backlogBytesMax === undefined ? {} : { backlogBytesMax }),
  };
  // What stands for the compiler in tests is not in the thread.
  const guard = options.compile === undefined ? { guard: new CompileGuard(context.logger) } : {};
  const intake = new Intake({ context, compile, ...guard, starter, limits, ...limit });
  const stalled = new StalledWatch(context, stalledAfterMs);
  const sweep = new StartSweep(context, starter);
  const pauses = new PauseWatch(context);
  const audit = auditRunsPerMinute > 0 ? [new AuditSampler(context, auditRunsPerMinute)] : [];
  const watches = [pauses, new Reaper(context), stalled, ...audit];
  const services = [roles, ...timers, intake, sweep, limits, ...watches];
  const gauge = new LoadGauge(context, () => roles.spokenForKeys.filter((key) => key >= 0));
  const facts = async (): Promise<SupervisorFacts> => ({
    counts: context.counts,
    load: await gauge.load(),
    roles: roles.heldKeys.length,
    held: roles.heldKeys.filter((key) => key >= 0).length,
    partitions: partitions.length,
    stalled: stalled.runs.length,
    workflows: context.irs.looks,
  });
  const ping = (): Promise<unknown> => connectionAt(context.redis, partitionKeys(0).meta).ping();
  return { services, roles, stalled, facts, ping };
}
