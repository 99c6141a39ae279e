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
 *
 * What cannot be tidied up - its server is away - is said in the log and tried again at each look; it
 * keeps nothing else from being tidied up. A run whose key is damaged is put back from its journal
 * first.
 */
import {
  isTerminal,
  machineName,
  removeNamespace,
  suspectRun,
  unlessForeign,
} from "../sdk/internal.ts";
import {
  databaseTimeMs,
  lastEndOfTree,
  leaveNamespace,
  listNamespaces,
  openOfTree,
  runsById,
  type KeptNamespace,
  type OpenRun,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { Apart, type Job } from "./apart.ts";
import { endRun } from "./end-run.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";

/** So long a process that cannot be looked at may be silent. */
const SILENT_MS = 600_000;
/** So long it stays silent although Postgres is there: a beat (10 s), one given up (5 s), and more. */
const WATCHED_MS = 30_000;
/** A worker that is stopping may still read, and make its groups anew. */
const STOPPING_MS = 60_000;
/** Open runs of one tree that a look compares; the next one goes on behind them. */
const OPEN_MAX = 1000;
/** Namespaces that are tidied up at one time. */
const NAMESPACES_MAX = 50;

/** A last beat, and since when it has been seen to be old, by this process's monotonic clock. */
interface Silence {
  beatAtMs: number;
  sinceMs: number;
}

export class NamespaceWatch {
  readonly #context: SupervisorContext;
  readonly #nowMs: () => number;
  /** By namespace. */
  readonly #apart: Apart;
  /** Of those that were silent at the last look, by namespace. */
  #silent = new Map<string, Silence>();
  /** The last run compared, by namespace, where others stand behind it. */
  readonly #after = new Map<string, string>();

  /** `nowMs`: monotonic. */
  constructor(
    context: SupervisorContext,
    nowMs = (): number => performance.now(),
    apart = new Apart(),
  ) {
    this.#context = context;
    this.#nowMs = nowMs;
    this.#apart = apart;
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
    const listed = new Set(all.map(({ namespace }) => namespace));
    [...this.#after.keys()].forEach((one) => listed.has(one) || this.#after.delete(one));
    const jobs = all.map((one): Job => {
      const sinceMs = this.#silent.get(one.namespace)?.sinceMs ?? Infinity;
      const isDead = isGone(one, machine) || nowMs - sinceMs >= WATCHED_MS;
      const row = byId.get(one.runId) ?? null;
      return [one.namespace, () => this.#orSay(one, one.runId, this.#tidy(one, row, isDead))];
    });
    for (let at = 0; at < jobs.length; at += NAMESPACES_MAX) {
      await this.#apart.run(jobs.slice(at, at + NAMESPACES_MAX));
    }
  }

  /** The others are not to wait for what fails. */
  async #orSay({ namespace }: KeptNamespace, run: string, work: Promise<void>): Promise<void> {
    await work.catch((error: unknown) => {
      if (!this.#context.signal.aborted) {
        const message =
          "what a killed command has left cannot be tidied up; the next look tries it";
        this.#context.logger.warn({ err: error, run, namespace }, message);
      }
    });
  }

  async #tidy(one: KeptNamespace, row: RunRow | null, isDead: boolean): Promise<void> {
    const { db, deployment, logger } = this.#context;
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
    const open = await this.#openOf(one);
    if (open.length > 0) {
      await (isDead ? this.#takeOut(one, open) : undefined);
      return;
    }
    // Without a row: killed before it submitted, or about to.
    const endedMs = (await lastEndOfTree(db, run)) ?? 0;
    const hasStopped = (await databaseTimeMs(db)) - endedMs > STOPPING_MS;
    if (row === null ? isDead && one.silentMs > STOPPING_MS : hasStopped) {
      await removeNamespace(this.#context, deployment.partitions, one);
    }
  }

  /** The next page of what is open of its tree, round and round; none: none is open. */
  async #openOf({ namespace, runId }: KeptNamespace): Promise<OpenRun[]> {
    const { db } = this.#context;
    const after = this.#after.get(namespace);
    const behind = after === undefined ? [] : await openOfTree(db, runId, OPEN_MAX, after);
    const open = behind.length > 0 ? behind : await openOfTree(db, runId, OPEN_MAX);
    const last = open.at(-1);
    if (last !== undefined && open.length === OPEN_MAX) {
      this.#after.set(namespace, last.id);
    } else {
      this.#after.delete(namespace);
    }
    return open;
  }

  /** Gives the open runs of a namespace that nobody serves to all workers. */
  async #takeOut(one: KeptNamespace, open: readonly OpenRun[]): Promise<void> {
    if (open.some((run) => run.namespace === one.namespace)) {
      await leaveNamespace(this.#context.db, one);
    }
    for (const run of open) {
      if (this.#context.signal.aborted) {
        return;
      }
      await this.#orSay(one, run.id, this.#putBack(one, run));
    }
  }

  /** Gives one that is still in the namespace to all workers, by its row. */
  async #putBack({ namespace, host, pid }: KeptNamespace, run: OpenRun): Promise<void> {
    const { id: runId, partition } = run;
    const scripts = scriptsOf(this.#context, partition);
    const key = scripts.keys.run(runId);
    const none = ["damaged", null, null];
    const read = unlessForeign(scripts.redis.hmget(key, "m", "s", "e"), none);
    const [place, status, epoch] = await read;
    const isHere =
      place === "damaged" || (place?.startsWith(`${namespace}|`) === true && status !== "suspect");
    const seen = { runId, status: status ?? "", epoch: epoch ?? "" };
    if (isHere && !isTerminal((status ?? "").toUpperCase() as RunRow["status"])) {
      await suspectRun(scripts, seen);
      const message = "a run goes on with all workers: the command that served it is gone";
      this.#context.logger.warn({ run: runId, namespace, host, pid }, message);
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
