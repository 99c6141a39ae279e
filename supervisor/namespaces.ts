/**
 * What a `gavotte run` that was killed has left behind: runs that nobody serves, and their queues.
 *
 * Its process beats in Postgres while it lives. Its run is cancelled when the process is known to be
 * gone from this machine, or has not been heard of for long. Silence alone is believed only when it
 * lasts while this process looks: after an absence of Postgres all have been silent, and those that
 * live beat soon. A look that failed may be repeated at once, so that time counts, not looks.
 *
 * What is open then besides it - what undoes it, children that nobody waits for - leaves the namespace:
 * the row first, then the run is put back from its journal by its row, under an epoch of its own, so
 * that nothing of the old queues counts. Whoever starts or wakes one may have read its row before; so
 * the namespace stays written down, and each look compares, until no run of the tree is open. Then its
 * queues are removed. The loss of Redis changes nothing in this.
 */
import { isTerminal, machineName, removeNamespace, suspectRun } from "../sdk/internal.ts";
import {
  lastEndOfTree,
  leaveNamespace,
  listNamespaces,
  openOfTree,
  runsById,
  type KeptNamespace,
  type OpenRun,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { endRun } from "./end-run.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";

/** So long a process that cannot be looked at may be silent. */
const SILENT_MS = 600_000;
/** So long it stays silent although Postgres is there: a beat (10 s), one given up (5 s), and more. */
const WATCHED_MS = 30_000;
/** A worker that is stopping may still read, and make its groups anew. */
const STOPPING_MS = 60_000;
/** Open runs of one namespace that a look takes out of it; the next one goes on. */
const OPEN_MAX = 1000;

/** A last beat, and since when it has been seen to be old, by this process's monotonic clock. */
interface Silence {
  beatAtMs: number;
  sinceMs: number;
}

export class NamespaceWatch {
  readonly #context: SupervisorContext;
  readonly #nowMs: () => number;
  /** Of those that were silent at the last look, by namespace. */
  #silent = new Map<string, Silence>();

  /** `nowMs`: monotonic. */
  constructor(context: SupervisorContext, nowMs = (): number => performance.now()) {
    this.#context = context;
    this.#nowMs = nowMs;
  }

  /** Looks once at every namespace that is written down. */
  async look(): Promise<void> {
    const { db } = this.#context;
    const before = this.#silent;
    this.#silent = new Map(); // and stays so if Postgres is away: then silence says nothing
    const machine = await machineName();
    const all = await listNamespaces(db);
    const rows = await runsById(
      db,
      all.map(({ runId }) => runId),
    );
    const byId = new Map(rows.map((row) => [row.id, row]));
    const nowMs = this.#nowMs();
    this.#silent = silences(all, before, nowMs);
    for (const one of all) {
      const sinceMs = this.#silent.get(one.namespace)?.sinceMs ?? Infinity;
      const isDead = isGone(one, machine) || nowMs - sinceMs >= WATCHED_MS;
      await this.#tidy(one, byId.get(one.runId) ?? null, isDead);
    }
  }

  async #tidy(one: KeptNamespace, row: RunRow | null, isDead: boolean): Promise<void> {
    const { db, deployment, clock, logger } = this.#context;
    const { namespace, runId: run, host, pid } = one;
    // One that was redriven has left the namespace: it is not the command's any more.
    if (row !== null && !isTerminal(row.status) && row.namespace === namespace) {
      if (isDead) {
        logger.warn({ run, namespace, host, pid }, "a run is cancelled: its command is gone");
        const why = `the command that ran it (${host}, process ${pid}) is gone`;
        await endRun(this.#context, row, why);
      }
      return;
    }
    const open = await openOfTree(db, run, OPEN_MAX);
    if (open.length > 0) {
      await (isDead ? this.#takeOut(one, open) : undefined);
      return;
    }
    // Without a row: killed before it submitted, or about to.
    const hasStopped = clock.nowMs() - ((await lastEndOfTree(db, run)) ?? 0) > STOPPING_MS;
    if (row === null ? isDead && one.silentMs > STOPPING_MS : hasStopped) {
      await removeNamespace(this.#context, deployment.partitions, one);
    }
  }

  /** Gives the open runs of a namespace that nobody serves to all workers. */
  async #takeOut(one: KeptNamespace, open: readonly OpenRun[]): Promise<void> {
    const { db, logger } = this.#context;
    const { namespace, host, pid } = one;
    if (open.some((run) => run.namespace === namespace)) {
      await leaveNamespace(db, one);
    }
    for (const { id: runId, partition } of open) {
      const { redis, keys } = scriptsOf(this.#context, partition);
      const [place, status, epoch] = await redis.hmget(keys.run(runId), "m", "s", "e");
      const isHere = place?.startsWith(`${namespace}|`) === true && status !== "suspect";
      const seen = { runId, status: status ?? "", epoch: epoch ?? "" };
      if (isHere && !isTerminal((status ?? "").toUpperCase() as RunRow["status"])) {
        await suspectRun(scriptsOf(this.#context, partition), seen);
        const message = "a run goes on with all workers: the command that served it is gone";
        logger.warn({ run: runId, namespace, host, pid }, message);
      }
    }
  }
}

/** Those that are silent now; what has not beaten since `before` was silent from then on. */
function silences(
  all: readonly KeptNamespace[],
  before: ReadonlyMap<string, Silence>,
  nowMs: number,
): Map<string, Silence> {
  const silent = all.filter(({ silentMs }) => silentMs > SILENT_MS);
  return new Map(
    silent.map(({ namespace, beatAtMs }) => {
      const known = before.get(namespace);
      return [namespace, known?.beatAtMs === beatAtMs ? known : { beatAtMs, sinceMs: nowMs }];
    }),
  );
}

/** Whether its process was on this machine and is no more. */
function isGone(one: KeptNamespace, machine: string): boolean {
  if (one.machine !== machine) {
    return false;
  }
  try {
    process.kill(one.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
