/**
 * What a `gavotte run` that was killed has left behind: a run that nobody serves, and its queues.
 *
 * Its run is cancelled when nobody has read its queues for long, or for a short while and its
 * process is known to be gone from this machine; a process that lives reads them all the time. When
 * the run has ended, its queues are removed.
 */
import { hostname } from "node:os";
import {
  GROUP,
  isTerminal,
  listNamespaces,
  namespaceStreams,
  removeNamespace,
  type RunNamespace,
} from "../sdk/internal.ts";
import { runsById, type RunRow } from "../sdk/postgres/index.ts";
import { endRun } from "./end-run.ts";
import type { SupervisorContext } from "./context.ts";

const SILENT_MS = 600_000;
/** Enough where the process is known to be gone. */
const SILENT_DEAD_MS = 30_000;
/** A worker that is stopping may still read, and make its groups anew. */
const STOPPING_MS = 60_000;

/** Looks once at every namespace that is written down. */
export async function reapNamespaces(context: SupervisorContext): Promise<void> {
  const all = await listNamespaces(context.redis);
  const rows = await runsById(
    context.db,
    all.map(({ runId }) => runId),
  );
  const byId = new Map(rows.map((row) => [row.id, row]));
  for (const one of all) {
    await reap(context, one, byId.get(one.runId) ?? null);
  }
}

async function reap(
  context: SupervisorContext,
  one: RunNamespace,
  row: RunRow | null,
): Promise<void> {
  const { redis, deployment, clock, logger } = context;
  const now = clock.nowMs();
  if (row === null || isTerminal(row.status)) {
    const sinceMs = row?.endedAtMs ?? one.atMs;
    if (now - sinceMs > (row === null ? SILENT_MS : STOPPING_MS)) {
      await removeNamespace(redis, deployment.partitions, one);
    }
    return;
  }
  const silentMs = Math.min(await silence(context, one, row.partition), now - one.atMs);
  if (silentMs > (isGone(one) ? SILENT_DEAD_MS : SILENT_MS)) {
    const { namespace, runId: run, host, pid } = one;
    logger.warn({ run, namespace, host, pid }, "a run is cancelled: nobody serves its namespace");
    await endRun(context, row, `the command that ran it (${host}, process ${pid}) is gone`);
  }
}

/** Since when nobody has read the queues of a namespace, ms; Infinity: nobody ever has. */
async function silence(
  { redis }: SupervisorContext,
  one: RunNamespace,
  partition: number,
): Promise<number> {
  let least = Infinity;
  for (const stream of namespaceStreams(one, partition)) {
    const list = (await redis.xinfo("CONSUMERS", stream, GROUP).catch(() => [])) as unknown[][];
    list.forEach((fields) => (least = Math.min(least, Number(fields[5]))));
  }
  return least;
}

/** Whether its process was on this machine and is no more. */
function isGone({ host, pid }: RunNamespace): boolean {
  if (host !== hostname()) {
    return false;
  }
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
