/**
 * Why does a run stand still? All of it: what Redis says (explain.ts), and around that whether there
 * is a certified Redis, a database, a row, a supervisor that would start it.
 */
import type { Redis } from "ioredis";
import type { Ir } from "../../compiler/ir.ts";
import {
  connectionAt,
  EVERY_QUEUE,
  globalKeys,
  HotState,
  isTerminal,
  partitionKeys,
  partitionOf,
  RunView,
  ScriptRunner,
} from "../../sdk/internal.ts";
import {
  isDatabaseAway,
  journalPages,
  listPauses,
  livingWorkers,
  readAdmission,
  readRun,
  stopOf,
  undoneBefore,
  type ArchivedTransition,
  type Database,
  type RunRow,
} from "../../sdk/postgres/index.ts";
import { limitReasons } from "./limits.ts";
import { explainRun, redisNowMs, type Explanation, type Reason } from "../explain.ts";
import { countSupervisors } from "../roles.ts";
import { explainSleep } from "./asleep.ts";
import { tellCircuits } from "./circuits.ts";
import { assertNode } from "./nodes.ts";
import { memoryReasons } from "./memory.ts";
import { noteText, notingPauses, tellPauses } from "./pauses.ts";

/** So many runs that a compensation waits for are named. */
const BEFORE_MAX = 5;

export interface WhyTarget {
  redis: Redis;
  db: Database;
  deployment: { id: string; partitions: number };
  runId: string;
  irOf: (hash: string) => Promise<Ir | null>;
  leaseMs?: number;
  /** As of the workers. */
  backlogBytesMax?: number;
  /** Only what stands at this node, and what is to be said of the run as a whole. */
  node?: string | undefined;
}

/**
 * Everything that a run waits for. Null: no such run, neither in Postgres nor in Redis. Throws
 * GV_BAD_INPUT: there is no such node.
 */
export async function whyRun(target: WhyTarget): Promise<Explanation | null> {
  const { redis, db, runId, deployment } = target;
  const partition = partitionOf(runId, deployment.partitions);
  const around: Reason[] = [];
  let row: RunRow | null = null;
  let stop: Reason | null = null;
  try {
    row = await readRun(db, runId);
    const pause = stopOf(await listPauses(db));
    stop =
      pause === null
        ? null
        : { kind: "stopped", text: stopText(noteText(pause.who, pause.reason)) };
    if ((await countSupervisors(db)) === 0) {
      around.push({ kind: "no_supervisor", text: NO_SUPERVISOR });
    }
  } catch (error) {
    if (!isDatabaseAway(error)) {
      throw error;
    }
    const text =
      "Postgres cannot be reached: steps go on, nothing is archived, ended, released or started";
    around.push({ kind: "postgres_away", text });
    const isStopped = await redis.sismember(globalKeys.pausedQueues, EVERY_QUEUE);
    stop = isStopped === 1 ? { kind: "stopped", text: stopText("") } : null;
  }
  if (stop !== null) {
    around.push(stop);
  }
  if (!(await isCertified(redis, deployment.id, partition))) {
    const text =
      `partition ${partition} is not certified: Redis was restarted, emptied or lost, and nobody ` +
      'writes until a supervisor has compared it with Postgres; is one running? ("gavotte doctor")';
    around.push({ kind: "uncertified", text });
  }
  const ir = await irFor(target, partition, row);
  if (target.node !== undefined && ir !== null) {
    assertNode(ir, target.node);
  }
  if (row !== null && isTerminal(row.status)) {
    const text = `the run has ended: ${row.status}`;
    return {
      runId,
      status: row.status.toLowerCase(),
      reasons: [{ kind: "ended", status: row.status, text }],
      more: 0,
    };
  }
  if (row !== null && row.asleepSinceMs !== null) {
    const { reasons, more } = await explainSleep(target, row, ir);
    return { runId, status: "asleep", reasons: [...around, ...reasons], more };
  }
  const workers = row === null ? [] : await livingWorkers(db);
  const known = await explainRun({ ...target, partition, workers });
  if (known.status === null && row?.status === "QUEUED") {
    return { ...known, reasons: [...around, ...(await queuedReasons(target, row, around))] };
  }
  if (known.status === null && row === null && around.length === 0) {
    return null;
  }
  const told = row === null ? known.reasons : await withRow(target, row, ir, known.reasons);
  return { ...known, reasons: [...around, ...told] };
}

const NO_SUPERVISOR =
  "no supervisor runs: no timer fires, nothing is archived, ended, released or started; start " +
  '"gavotte supervisor"';

function stopText(note: string): string {
  return `the whole deployment is stopped${note}: nothing begins until "gavotte resume --all"`;
}

/** Why a run that is accepted has not begun; nothing more is to be said while all is stopped. */
async function queuedReasons(
  { redis, db }: WhyTarget,
  row: RunRow,
  around: readonly Reason[],
): Promise<Reason[]> {
  const limits = row.held ? limitReasons(await readAdmission(db, row.id)) : [];
  const order = await undoingReasons(db, row);
  const reasons = [...(await memoryReasons(redis, row.partition)), ...limits, ...order];
  const text = "accepted, not started yet: a supervisor starts it within seconds; is one running?";
  const isTold = reasons.length > 0 || around.some(({ kind }) => kind === "stopped");
  return isTold ? reasons : [{ kind: "not_started", text }];
}

/** What has to be undone, or to end, before this run undoes another. */
async function undoingReasons(db: Database, { id, compensates }: RunRow): Promise<Reason[]> {
  const open = compensates === null ? [] : await undoneBefore(db, id, BEFORE_MAX);
  const runs = open.map((run) => run.id);
  const of = open.map((run) => `${run.id} (${run.status})`).join(", ");
  const text =
    `it undoes run ${compensates ?? ""} once all below that has ended and is undone: ${of} ` +
    `${open.length === 1 ? "has" : "have"} not`;
  return open.length === 0 ? [] : [{ kind: "undoing", runs, text }];
}

/** The run's workflow; null: nobody knows it. */
async function irFor(
  { redis, runId, irOf }: WhyTarget,
  partition: number,
  row: RunRow | null,
): Promise<Ir | null> {
  const keys = partitionKeys(partition);
  const hash = row?.irHash ?? (await connectionAt(redis, keys.meta).hget(keys.run(runId), "ir"));
  return hash === null ? null : irOf(hash);
}

/** Reasons of which the journal knows more than the run's hash. */
const FOLDED: ReadonlySet<Reason["kind"]> = new Set(["executing", "paused", "circuit", "retry"]);

/**
 * What Postgres knows more exactly: who paused it, since when a step is on its way, which circuit
 * holds it back.
 */
async function withRow(
  { db, redis }: WhyTarget,
  row: RunRow,
  ir: Ir | null,
  reasons: readonly Reason[],
): Promise<Reason[]> {
  const wants = reasons.some(({ kind }) => FOLDED.has(kind));
  if (ir === null || !wants) {
    return [...reasons];
  }
  const view = new RunView(ir);
  const state = new HotState(ir);
  const pauses: ArchivedTransition[] = [];
  for await (const page of notingPauses(journalPages(db, row.id), pauses)) {
    for (const { transition, t } of page) {
      view.apply(transition, t);
      state.apply(transition, t);
    }
  }
  const nowMs = await redisNowMs(redis, row.partition);
  const told = await tellPauses(db, row, pauses, reasons);
  return (await tellCircuits(redis, state, told, nowMs)).map((reason): Reason => {
    const begun = reason.home === undefined ? view.nodes[reason.node ?? ""]?.started_at : null;
    if (reason.kind !== "executing" || reason.isSilent || begun === null || begun === undefined) {
      return reason;
    }
    const forMs = Math.max(0, nowMs - begun);
    const text = reason.text.replace(/ for \d+ s/, ` for ${Math.round(forMs / 1000)} s`);
    return { ...reason, forMs, text };
  });
}

async function isCertified(redis: Redis, deployment: string, partition: number): Promise<boolean> {
  return new ScriptRunner({ redis, deployment, partition }).isCertified();
}
