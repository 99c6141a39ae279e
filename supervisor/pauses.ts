/**
 * Applies the pauses that stand in Postgres (21 B5): runs of paused workflows are paused, those of
 * resumed ones go on, workers are told of paused queues, and resumes that were interrupted are
 * brought to their end.
 *
 * A loop that compares and corrects, in every supervisor: each step may be repeated by any number of
 * them, and whatever was lost - a process half-way, Redis as a whole - is put right at the next
 * look. A workflow's row stays `resuming` for longer than a start may be late, so that a run which
 * was started paused by what an intake had read before finds it, too.
 */
import {
  globalKeys,
  partitionKeys,
  PAUSE_CAUSES,
  pauseRun,
  resumeRun,
  type PauseCause,
} from "../sdk/internal.ts";
import {
  listPauses,
  removePause,
  runsOfWorkflow,
  wakePaused,
  type Pause,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { Apart, byPartition, inTurn, type Job } from "./apart.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { Loop } from "./loop.ts";

const LOOK_MS = 1000;
const RUNS_MAX = 500;
/** Longer than the window in which a start is accepted. */
const RESUMING_MS = 60_000;
const CAUSE: PauseCause = "workflow";

export class PauseWatch extends Loop {
  readonly #context: SupervisorContext;
  readonly #apart = new Apart();

  constructor(context: SupervisorContext) {
    super({
      name: "pauses",
      logger: context.logger,
      step: async () => {
        await this.look();
        return LOOK_MS;
      },
    });
    this.#context = context;
  }

  /** Looks once. */
  async look(): Promise<void> {
    const pauses = await listPauses(this.#context.db);
    const workflows = pauses.filter(({ kind }) => kind === "workflow");
    const applyAll = async (): Promise<void> => {
      await inTurn(workflows, (pause) =>
        pause.state === "paused" ? this.#pauseRuns(pause) : this.#resumeRuns(pause),
      );
      await this.#finishResumes();
    };
    await this.#apart.run([
      ["queues", () => this.#tellQueues(pauses)],
      ["runs", applyAll],
    ]);
  }

  async #tellQueues(pauses: readonly Pause[]): Promise<void> {
    const { redis } = this.#context;
    const wanted = new Set(pauses.filter((p) => p.kind === "queue").map((p) => p.name));
    const told = await redis.smembers(globalKeys.pausedQueues);
    const gone = told.filter((name) => !wanted.has(name));
    if (gone.length > 0) {
      await redis.srem(globalKeys.pausedQueues, ...gone);
    }
    if (told.length - gone.length < wanted.size) {
      await redis.sadd(globalKeys.pausedQueues, ...wanted);
    }
  }

  /** Running runs of the workflow are paused. */
  async #pauseRuns(pause: Pause): Promise<void> {
    let count = 0;
    await this.#each(pause, "RUNNING", async (row) => {
      const scripts = scriptsOf(this.#context, row.partition);
      const answer = await pauseRun(scripts, row.id, CAUSE, noteOf(pause));
      count += answer.kind === "paused" ? 1 : 0;
    });
    this.#tell(pause, count, "paused");
  }

  /**
   * Runs that it paused go on, those that sleep when they are awake; then, and not before a late start
   * could come, it is forgotten.
   */
  async #resumeRuns(pause: Pause): Promise<void> {
    let count = 0;
    let asleep = await wakePaused(this.#context.db, pause, PAUSE_CAUSES[CAUSE]);
    const isAll = await this.#each(pause, "PAUSED", async (row) => {
      const scripts = scriptsOf(this.#context, row.partition);
      const answer = await resumeRun(scripts, row.id, CAUSE, noteOf(pause));
      count += answer.kind === "resumed" ? 1 : 0;
      asleep += answer.kind === "not_paused" && answer.status === "asleep" ? 1 : 0;
    });
    this.#tell(pause, count, "resumed");
    if (isAll && count + asleep === 0) {
      const { db, clock } = this.#context;
      await removePause(db, pause, clock.nowMs() - RESUMING_MS);
    }
  }

  /** Entries that are still held for runs which are not paused any more. */
  async #finishResumes(): Promise<void> {
    const { redis, deployment } = this.#context;
    const finish = async (p: number): Promise<void> => {
      const keys = partitionKeys(p);
      for (const runId of await redis.zrangebyscore(keys.paused, 0, 0, "LIMIT", 0, RUNS_MAX)) {
        await resumeRun(scriptsOf(this.#context, p), runId, null);
      }
    };
    const partitions = Array.from({ length: deployment.partitions }, (_, p) => p);
    await this.#apart.run(partitions.map((p) => [p, () => finish(p)]));
  }

  /** Does `work` for each run of the workflow in a status; false: not for all, a server is away. */
  async #each(
    { name, version }: Pause,
    status: RunRow["status"],
    work: (row: RunRow) => Promise<void>,
  ): Promise<boolean> {
    const { db } = this.#context;
    let isAll = true;
    let rows: RunRow[];
    let afterId = "";
    do {
      rows = await runsOfWorkflow(db, { name, version, status, afterId, limit: RUNS_MAX });
      const jobs = byPartition(rows).map(([partition, list]): Job => {
        const key = `${name}@${version} ${status} ${partition}`;
        return [key, () => inTurn(list, work)];
      });
      isAll = (await this.#apart.run(jobs)) && isAll;
      afterId = rows.at(-1)?.id ?? "";
    } while (rows.length === RUNS_MAX);
    return isAll;
  }

  #tell({ name, version }: Pause, count: number, what: string): void {
    if (count > 0) {
      this.#context.logger.info({ workflow: name, version, runs: count }, `runs were ${what}`);
    }
  }
}

function noteOf({ who, reason }: Pause): { by?: string; why?: string } {
  return { ...(who && { by: who }), ...(reason && { why: reason }) };
}
