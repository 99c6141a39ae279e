/**
 * Why does a run stand still? All of it: what Redis says (explain.ts), and around that whether there
 * is a certified Redis, a database, a row, a supervisor that would start it.
 */
import type { Redis } from "ioredis";
import type { Ir } from "../../compiler/ir.ts";
import {
  connectionAt,
  isTerminal,
  partitionKeys,
  partitionOf,
  RunView,
  ScriptRunner,
} from "../../sdk/internal.ts";
import {
  isDatabaseAway,
  listPauses,
  readAdmission,
  readJournal,
  readRun,
  type Database,
  type RunRow,
} from "../../sdk/postgres/index.ts";
import { limitReasons } from "./limits.ts";
import { explainRun, type Explanation, type Reason } from "../explain.ts";
import { explainSleep } from "./asleep.ts";

export interface WhyTarget {
  redis: Redis;
  db: Database;
  deployment: { id: string; partitions: number };
  runId: string;
  irOf: (hash: string) => Promise<Ir | null>;
  leaseMs?: number;
  /** Only what stands at this node, and what is to be said of the run as a whole. */
  node?: string | undefined;
}

/** Everything that a run waits for. Null: no such run, neither in Postgres nor in Redis. */
export async function whyRun(target: WhyTarget): Promise<Explanation | null> {
  const { redis, db, runId, deployment } = target;
  const partition = partitionOf(runId, deployment.partitions);
  const around: Reason[] = [];
  let row: RunRow | null = null;
  try {
    row = await readRun(db, runId);
  } catch (error) {
    if (!isDatabaseAway(error)) {
      throw error;
    }
    const text =
      "Postgres cannot be reached: steps go on, nothing is archived, ended, released or started";
    around.push({ kind: "postgres_away", text });
  }
  if (!(await isCertified(redis, deployment.id, partition))) {
    const text =
      `partition ${partition} is not certified: Redis was restarted, emptied or lost, and nobody ` +
      'writes until a supervisor has compared it with Postgres; is one running? ("gavotte doctor")';
    around.push({ kind: "uncertified", text });
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
    const reasons = [...around, ...(await explainSleep(db, row, await target.irOf(row.irHash)))];
    return { runId, status: "asleep", reasons, more: 0 };
  }
  const known = await explainRun({ ...target, partition });
  if (known.status === null && row === null && around.length === 0) {
    return null;
  }
  const reasons = known.reasons.map((reason) => notStarted(reason, row));
  const isHeld = row?.status === "QUEUED" && row.held;
  const limits = isHeld ? limitReasons(await readAdmission(db, runId)) : [];
  if (limits.length > 0) {
    return { ...known, reasons: [...around, ...limits] };
  }
  const told = row === null ? reasons : await withRow(db, row, target, reasons);
  return { ...known, reasons: [...around, ...told] };
}

function notStarted(reason: Reason, row: RunRow | null): Reason {
  const isQueued = reason.kind === "not_in_redis" && row?.status === "QUEUED";
  const text = "accepted, not started yet: a supervisor starts it within seconds; is one running?";
  return isQueued ? { kind: "not_started", text } : reason;
}

/** What Postgres knows more exactly: who paused it, since when a step is on its way. */
async function withRow(
  db: Database,
  row: RunRow,
  { irOf, redis }: WhyTarget,
  reasons: readonly Reason[],
): Promise<Reason[]> {
  const ir = await irOf(row.irHash);
  const wants = reasons.some(({ kind }) => kind === "executing" || kind === "paused");
  if (ir === null || !wants) {
    return [...reasons];
  }
  const view = new RunView(ir);
  for (const { transition, t } of await readJournal(db, row.id)) {
    view.apply(transition, t);
  }
  const keys = partitionKeys(row.partition);
  const nowMs = Number((await connectionAt(redis, keys.meta).time())[0]) * 1000;
  const pauses = await listPauses(db);
  return reasons.map((reason): Reason => {
    if (reason.kind === "paused" && reason.causes.includes("w")) {
      const pause = pauses.find(({ name }) => name === row.workflow);
      const by = pause?.who ? ` by ${pause.who}` : "";
      const why = pause?.reason ? ` (${pause.reason})` : "";
      return { ...reason, text: `${reason.text}; ${row.workflow} was paused${by}${why}` };
    }
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
