/**
 * What people do to runs, workflows and queues that are under way: pause and resume (21 B5).
 *
 * A run is paused in Redis, by a script; its row follows from the journal. Pauses of workflows and
 * queues stand in Postgres, so they survive Redis: supervisors apply them to runs and tell workers
 * of paused queues (supervisor/pauses.ts).
 */
import type { Redis } from "ioredis";
import type { Clock } from "./clock.ts";
import { GavotteError } from "./errors.ts";
import { globalKeys, partitionOf } from "./keys.ts";
import {
  EVERY_VERSION,
  isPaused,
  listPauses,
  putPause,
  readRun,
  removePause,
  resumePause,
  type Database,
  type Pause,
  type RunRow,
} from "./postgres/index.ts";
import { pauseRun, resumeRun, type Note } from "./redis/pause-scripts.ts";
import { ScriptRunner } from "./redis/script-runner.ts";

export interface OperationsOptions {
  redis: Redis;
  db: Database;
  clock: Clock;
  deployment(): Promise<{ id: string; partitions: number }>;
}

/** A workflow to pause: every version of it, unless one is named. */
export interface WorkflowName {
  name: string;
  version?: string;
}

export class Operations {
  readonly #o: OperationsOptions;

  constructor(options: OperationsOptions) {
    this.#o = options;
  }

  /**
   * Pauses a run: no token of it is dispatched any more, what is executing may end. Harmless if it is
   * paused. Throws GV_RUN_NOT_FOUND, GV_RUN_STATUS_REFUSED.
   */
  async pause(runId: string, note: Note = {}): Promise<void> {
    const row = await this.#row(runId);
    const answer = await pauseRun(await this.scripts(runId), runId, "run", note);
    if (answer.kind === "refused" || answer.kind === "gone") {
      throw refused(runId, "paused", "status" in answer ? answer.status : row.status);
    }
  }

  /**
   * Resumes a run. Throws GV_RUN_NOT_FOUND, GV_RUN_STATUS_REFUSED: it is not paused, or its workflow
   * is (resume that).
   */
  async resume(runId: string, note: Note = {}): Promise<void> {
    const row = await this.#row(runId);
    const answer = await resumeRun(await this.scripts(runId), runId, "run", note);
    if (answer.kind === "resumed") {
      return;
    }
    const isByWorkflow = answer.kind === "still_paused" || row.status === "PAUSED";
    if (isByWorkflow && isPaused(await listPauses(this.#o.db), row.workflow, row.version)) {
      throw new GavotteError(
        "GV_RUN_STATUS_REFUSED",
        `run ${runId} stays paused because workflow ${row.workflow} is: ` +
          `"gavotte resume --workflow ${row.workflow}" resumes all its runs`,
      );
    }
    throw refused(runId, "resumed", "status" in answer ? answer.status : row.status);
  }

  /** Pauses all runs of a workflow, and those that start until it is resumed. */
  async pauseWorkflow({ name, version }: WorkflowName, note: Note = {}): Promise<void> {
    await putPause(this.#o.db, this.#pause("workflow", name, version, note));
  }

  /** Takes that back; its runs go on within seconds. Throws GV_NOT_PAUSED. */
  async resumeWorkflow({ name, version }: WorkflowName, note: Note = {}): Promise<void> {
    if (!(await resumePause(this.#o.db, this.#pause("workflow", name, version, note)))) {
      throw notPaused(`workflow ${name}${version === undefined ? "" : `@${version}`}`);
    }
  }

  /** Stops every worker from reading a queue, within seconds; what they execute goes on. */
  async pauseQueue(queue: string, note: Note = {}): Promise<void> {
    await putPause(this.#o.db, this.#pause("queue", queue, undefined, note));
    await this.#o.redis.sadd(globalKeys.pausedQueues, queue);
  }

  /** Lets workers read it again. Throws GV_NOT_PAUSED. */
  async resumeQueue(queue: string): Promise<void> {
    const pause = this.#pause("queue", queue, undefined, {});
    if (!(await removePause(this.#o.db, { ...pause, state: "paused" }, pause.changedAtMs))) {
      throw notPaused(`queue ${queue}`);
    }
    await this.#o.redis.srem(globalKeys.pausedQueues, queue);
  }

  /** Workflows and queues that are paused. */
  pauses(): Promise<Pause[]> {
    return listPauses(this.#o.db);
  }

  /** The scripts of a run's partition. */
  async scripts(runId: string): Promise<ScriptRunner> {
    const { id, partitions } = await this.#o.deployment();
    const partition = partitionOf(runId, partitions);
    return new ScriptRunner({ redis: this.#o.redis, deployment: id, partition });
  }

  #pause(kind: Pause["kind"], name: string, version: string | undefined, note: Note): Pause {
    return {
      ...{ kind, name, version: version ?? EVERY_VERSION, state: "paused" },
      ...{ who: note.by ?? "", reason: note.why ?? "", changedAtMs: this.#o.clock.nowMs() },
    };
  }

  async #row(runId: string): Promise<RunRow> {
    const row = await readRun(this.#o.db, runId);
    if (row === null) {
      const message = `there is no run ${runId}; "gavotte runs" shows those there are`;
      throw new GavotteError("GV_RUN_NOT_FOUND", message);
    }
    return row;
  }
}

function refused(runId: string, what: string, status: string): GavotteError {
  const message = `run ${runId} is ${status.toUpperCase()} and cannot be ${what}`;
  return new GavotteError("GV_RUN_STATUS_REFUSED", message, { details: { status } });
}

function notPaused(what: string): GavotteError {
  return new GavotteError("GV_NOT_PAUSED", `${what} is not paused; "gavotte pauses" lists what is`);
}
