/**
 * Applies the pauses that stand in Postgres (21 B5): runs of paused workflows are paused, those of
 * resumed ones go on, workers are told of paused queues, and resumes that were interrupted are
 * brought to their end.
 *
 * A loop that compares and corrects, in every supervisor: each step may be repeated by any number of
 * them, and whatever was lost - a process half-way, Redis as a whole - is put right at the next
 * look. A workflow's row stays `resuming` for longer than a start may be late, so that a run which
 * was started paused by what an intake had read before finds it, too. A script that has hung in a
 * server that was away may still pause a run after that: a run that no row names any more goes on.
 */
import {
  globalKeys,
  partitionKeys,
  PAUSE_CAUSES,
  PAUSES_TOLD,
  pauseRun,
  resumeRun,
  unlessForeign,
  writeAnyway,
  type PauseCause,
} from "../sdk/internal.ts";
import {
  FIRST_RUN,
  forgetPause,
  isPaused,
  listPauses,
  pausedQueues,
  runsOfWorkflow,
  wakePaused,
  withoutPause,
  type Pause,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { Apart, byPartition, inTurn, type Job } from "./apart.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { Loop } from "./loop.ts";

const LOOK_MS = 1000;
const RUNS_MAX = 500;
/** Paused runs of a partition that a look asks for their workflow's pause. */
const ASKED_MAX = 100;
/** Longer than the window in which a start is accepted. */
const RESUMING_MS = 60_000;
const CAUSE: PauseCause = "workflow";

export class PauseWatch extends Loop {
  readonly #context: SupervisorContext;
  readonly #apart: Apart;
  /** As last read; jobs that hung go by it, too. */
  #pauses: readonly Pause[] = [];
  /** Where the next look goes on among a partition's paused runs. */
  readonly #cursors = new Map<number, string>();

  constructor(context: SupervisorContext, apart = new Apart()) {
    super({
      name: "pauses",
      logger: context.logger,
      step: async () => {
        await this.look();
        return LOOK_MS;
      },
    });
    this.#context = context;
    this.#apart = apart;
  }

  /** Looks once. */
  async look(): Promise<void> {
    const pauses = await listPauses(this.#context.db);
    this.#pauses = pauses;
    const workflows = pauses.filter(({ kind }) => kind === "workflow");
    const applyAll = async (): Promise<void> => {
      await inTurn(workflows, (pause) =>
        pause.state === "paused" ? this.#pauseRuns(pause) : this.#resumeRuns(pause),
      );
      await this.#eachPartition("finish", (p) => this.#finishResumes(p));
      await this.#eachPartition("unnamed", (p) => this.#resumeUnnamed(p));
    };
    await this.#apart.run([
      ["queues", () => this.#tellQueues()],
      ["runs", applyAll],
    ]);
  }

  /** The list is read after what was told: an order is given in Postgres first. */
  async #tellQueues(): Promise<void> {
    const { redis, db } = this.#context;
    const told = new Set(await redis.smembers(globalKeys.pausedQueues));
    const wanted = new Set([PAUSES_TOLD, ...pausedQueues(await listPauses(db))]);
    const gone = [...told].filter((name) => !wanted.has(name));
    const missing = [...wanted].filter((name) => !told.has(name));
    if (missing.length > 0) {
      await writeAnyway(redis, [["SADD", globalKeys.pausedQueues, ...missing]]);
    }
    if (gone.length > 0) {
      await redis.srem(globalKeys.pausedQueues, ...gone);
    }
  }

  /** Running runs of the workflow are paused. */
  async #pauseRuns(pause: Pause): Promise<void> {
    let count = 0;
    await this.#each(pause, "RUNNING", async (row) => {
      if (!isPaused(this.#pauses, row.workflow, row.version)) {
        return; // resumed while this waited for its server
      }
      const scripts = scriptsOf(this.#context, row.partition);
      const answer = await pauseRun(scripts, row.id, CAUSE, noteOf(pause));
      count += answer.kind === "paused" ? 1 : 0;
    });
    this.#tell(pause, count, "paused");
  }

  /**
   * Runs that no other pause names go on, those that sleep when they are awake; then, and not before
   * a late start could come or while a job may still pause one, it is forgotten.
   */
  async #resumeRuns(pause: Pause): Promise<void> {
    let count = 0;
    let isAsleep = await wakePaused(this.#context.db, pause, PAUSE_CAUSES[CAUSE]);
    const isAll = await this.#each(pause, "PAUSED", async (row) => {
      if (isPaused(this.#pauses, row.workflow, row.version)) {
        return; // by its version's pause, or its workflow's
      }
      const scripts = scriptsOf(this.#context, row.partition);
      const answer = await resumeRun(scripts, row.id, CAUSE, noteOf(pause));
      count += answer.kind === "resumed" ? 1 : 0;
      isAsleep ||= answer.kind === "not_paused" && answer.status === "asleep";
    });
    this.#tell(pause, count, "resumed");
    const isPausing = this.#apart.isBusy(jobKey(pause, "RUNNING"));
    if (isAll && count === 0 && !isAsleep && !isPausing) {
      await forgetPause(this.#context.db, pause, RESUMING_MS);
    }
  }

  /** Entries that are still held for runs which are not paused any more. */
  async #finishResumes(p: number): Promise<void> {
    const { paused } = partitionKeys(p);
    const { redis } = this.#context;
    for (const runId of await redis.zrangebyscore(paused, 0, 0, "LIMIT", 0, RUNS_MAX)) {
      await unlessForeign<unknown>(resumeRun(scriptsOf(this.#context, p), runId, null), null);
    }
  }

  /** Runs paused with their workflow go on that no pause names; some at each look, in turn. */
  async #resumeUnnamed(p: number): Promise<void> {
    const { redis, db } = this.#context;
    const keys = partitionKeys(p);
    const from = this.#cursors.get(p) ?? "0";
    const [next, found] = await redis.zscan(keys.paused, from, "COUNT", ASKED_MAX);
    this.#cursors.set(p, next);
    const ids = found.filter((_, i) => i % 2 === 0);
    const causes = await Promise.all(
      ids.map((id) => unlessForeign(redis.hget(keys.run(id), "ps"), null)),
    );
    const withWorkflow = ids.filter((_, i) => causes[i]?.includes(PAUSE_CAUSES[CAUSE]));
    if (withWorkflow.length > 0) {
      const why = "its workflow is not paused";
      await inTurn(await withoutPause(db, withWorkflow), (runId) =>
        unlessForeign<unknown>(resumeRun(scriptsOf(this.#context, p), runId, CAUSE, { why }), null),
      );
    }
  }

  async #eachPartition(what: string, work: (p: number) => Promise<void>): Promise<void> {
    const partitions = Array.from({ length: this.#context.deployment.partitions }, (_, p) => p);
    await this.#apart.run(partitions.map((p) => [`${what} ${p}`, () => work(p)]));
  }

  /**
   * Does `work` for each run of the workflow in a status; false: not for all, a server is away. One in
   * place of whose keys something else stands is rebuilt first, and found by a later look.
   */
  async #each(
    pause: Pause,
    status: RunRow["status"],
    work: (row: RunRow) => Promise<void>,
  ): Promise<boolean> {
    const { db } = this.#context;
    const { name, version } = pause;
    let isAll = true;
    let rows: RunRow[];
    let after = FIRST_RUN;
    do {
      rows = await runsOfWorkflow(db, { name, version, status, after, limit: RUNS_MAX });
      const jobs = byPartition(rows).map(([partition, list]): Job => {
        return [
          jobKey(pause, status) + partition,
          () => inTurn(list, (row) => unlessForeign(work(row), undefined)),
        ];
      });
      isAll = (await this.#apart.run(jobs)) && isAll;
      after = rows.at(-1) ?? FIRST_RUN;
    } while (rows.length === RUNS_MAX);
    return isAll;
  }

  #tell({ name, version }: Pause, count: number, what: string): void {
    if (count > 0) {
      this.#context.logger.info({ workflow: name, version, runs: count }, `runs were ${what}`);
    }
  }
}

/** What the keys of its jobs begin with. */
function jobKey({ name, version }: Pause, status: RunRow["status"]): string {
  return `workflow ${name}@${version} ${status} `;
}

function noteOf({ who, reason }: Pause): { by?: string; why?: string } {
  return { ...(who && { by: who }), ...(reason && { why: reason }) };
}
