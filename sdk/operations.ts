/**
 * What people do to runs, workflows and queues that are under way: pause and resume (21 B5).
 *
 * A run is paused in Redis, by a script; its row follows from the journal. Pauses of workflows and
 * queues stand in Postgres, so they survive Redis: supervisors apply them to runs and tell workers
 * of paused queues (supervisor/pauses.ts).
 */
import type { Redis } from "ioredis";
import type { Ir, Json } from "../compiler/ir.ts";
import { DamagedRun } from "./damaged-run.ts";
import { GavotteError } from "./errors.ts";
import { globalKeys, partitionOf } from "./keys.ts";
import {
  EVERY_VERSION,
  isPaused,
  listAudit,
  listPauses,
  putPause,
  readRun,
  removePause,
  resumePause,
  type AuditEntry,
  type Pause,
  type RunRow,
} from "./postgres/index.ts";
import { assertGiven, requireFit } from "./given.ts";
import type { RedriveWish } from "./redrive.ts";
import { previewRedrive, redrive, type RedriveContext, type RedriveResult } from "./redrive-run.ts";
import { nodeStreams } from "./profile.ts";
import { findNode, interveneToken, type Intervention } from "./redis/intervene.ts";
import { PAUSE_CAUSES, pauseRun, resumeRun, type Note } from "./redis/pause-scripts.ts";
import { ScriptRunner } from "./redis/script-runner.ts";
import type { ManualAnswer } from "./waits.ts";
import { whileAwake, type WakeClient } from "./wake.ts";

export interface OperationsOptions extends WakeClient {
  redis: Redis;
  deployment(): Promise<{ id: string; partitions: number }>;
  irOf: (hash: string) => Promise<Ir>;
}

/** A workflow to pause: every version of it, unless one is named. */
export interface WorkflowName {
  name: string;
  version?: string;
}

/** What is to become of a node's token. */
export interface NodeOrder {
  action: ManualAnswer["action"];
  /** complete: the node's output, null without it. */
  output?: Json;
  /** fail: the node's error. */
  error?: { code: string; message: string };
  /** retry: what the node is executed with from now on; without it, what it had. */
  input?: Json;
  /** Which rounds of loops; without it, the active one. */
  scope?: string;
  /** Map element that the node is in, e.g. `3#17`. */
  element?: string;
  by: string;
  why?: string;
}

/** What a run is only for a moment: it falls asleep, or is put back from its journal. */
const BETWEEN: ReadonlySet<string> = new Set(["asleep", "suspect"]);
/** Between two looks at one. */
const BETWEEN_MS = 50;

export class Operations {
  readonly #o: OperationsOptions;

  constructor(options: OperationsOptions) {
    this.#o = options;
  }

  /**
   * Pauses a run: no token of it is dispatched any more, what is executing may end. Harmless if it is
   * paused. Throws GV_RUN_NOT_FOUND, GV_RUN_STATUS_REFUSED, GV_RUN_NOT_READY.
   */
  async pause(runId: string, note: Note = {}): Promise<void> {
    const scripts = await this.scripts(runId);
    const { row, answer } = await this.#awake(runId, () => pauseRun(scripts, runId, "run", note));
    if (answer.kind === "refused" || answer.kind === "gone") {
      throw refused(runId, "paused", "status" in answer ? answer.status : row.status);
    }
  }

  /**
   * Resumes a run. Throws GV_RUN_NOT_FOUND, GV_RUN_NOT_READY, GV_RUN_STATUS_REFUSED: it is not paused,
   * or its workflow is (resume that).
   */
  async resume(runId: string, note: Note = {}): Promise<void> {
    const scripts = await this.scripts(runId);
    // Whatever it was paused for by itself: errors in a row, or a user's word.
    const { row, answer } = await this.#awake(runId, async () => {
      const errors = await resumeRun(scripts, runId, "errors", note);
      return errors.kind === "resumed" ? errors : resumeRun(scripts, runId, "run", note);
    });
    if (answer.kind === "resumed") {
      return;
    }
    if (row.parentRunId !== null && answer.kind !== "gone" && row.status === "PAUSED") {
      const message = `run ${runId} stays paused because run ${row.parentRunId} is: resume that`;
      const isWith = (await this.#o.redis.hget(scripts.keys.run(runId), "ps"))?.includes(
        PAUSE_CAUSES.parent,
      );
      if (isWith === true) {
        throw new GavotteError("GV_RUN_STATUS_REFUSED", message);
      }
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
    if (!(await removePause(this.#o.db, { ...pause, state: "paused" }))) {
      throw notPaused(`queue ${queue}`);
    }
    await this.#o.redis.srem(globalKeys.pausedQueues, queue);
  }

  /**
   * Settles a node's open token by hand - ready, executing, waiting or retrying - or tries it again at
   * once; resolves with its attempt when a worker has been told. What a worker finishes first counts.
   * Throws GV_RUN_NOT_FOUND, GV_RUN_NOT_READY, GV_BAD_INPUT, GV_RUN_STATUS_REFUSED,
   * GV_NODE_STATUS_REFUSED.
   */
  async intervene(runId: string, nodeId: string, order: NodeOrder): Promise<number> {
    const row = await this.#row(runId);
    const root = await this.#o.irOf(row.irHash);
    const found = findNode(root, nodeId, order.element ?? "");
    if (found === null) {
      const message = `workflow ${row.workflow} has no node "${nodeId}"`;
      throw new GavotteError("GV_BAD_INPUT", message);
    }
    const scripts = await this.scripts(runId);
    const { queueKeys } = nodeStreams(found.ir, row);
    const { action, output, error, input, by, why, scope = null, element: home = "" } = order;
    if (input !== undefined && action !== "retry") {
      throw new GavotteError("GV_BAD_INPUT", `${action} takes no input; retry a node with another`);
    }
    assertGiven(input ?? output ?? error);
    if (action === "complete") {
      requireFit(found.node, "output", output ?? null);
    }
    if (input !== undefined) {
      requireFit(found.node, "input", input);
    }
    const intervention: Intervention = {
      ...{ runId, home, node: found.index, scope },
      queueKey: queueKeys[found.node.queue] ?? "",
      answer: {
        ...{ kind: "manual", action, by },
        ...(action === "complete" && { output: output ?? null }),
        ...(action === "fail" && error !== undefined && { error }),
        ...(input !== undefined && { input }),
        ...(why !== undefined && { why }),
      },
    };
    const { answer } = await this.#awake(runId, () => interveneToken(scripts, intervention));
    if (answer.kind === "done") {
      return answer.attempt;
    }
    throw answer.kind === "gone" || answer.kind === "run_refused"
      ? refused(runId, "changed", "status" in answer ? answer.status : row.status)
      : notOpen(nodeId, answer.kind, answer.state);
  }

  /** What redriving a failed run would do. Throws as `redrive` does. */
  previewRedrive(runId: string, wish: RedriveWish): Promise<RedriveResult> {
    return previewRedrive(this.#redriveContext(), runId, wish);
  }

  /**
   * Runs a failed run on from where it failed, results kept; resolves when that is archived. Throws
   * GV_RUN_NOT_FOUND, GV_RUN_STATUS_REFUSED, GV_BAD_INPUT.
   */
  redrive(runId: string, wish: RedriveWish): Promise<RedriveResult> {
    return redrive(this.#redriveContext(), runId, wish);
  }

  /** What was done by hand, newest first. */
  audit(filter: { runId?: string; limit: number }): Promise<AuditEntry[]> {
    return listAudit(this.#o.db, filter);
  }

  /** Workflows and queues that are paused. */
  pauses(): Promise<Pause[]> {
    return listPauses(this.#o.db);
  }

  /** The scripts of a run's partition; a call waits for a certificate, but not for ever. */
  async scripts(runId: string): Promise<ScriptRunner> {
    const { id, partitions } = await this.#o.deployment();
    const partition = partitionOf(runId, partitions);
    const { redis, patienceMs } = this.#o;
    return new ScriptRunner({ redis, deployment: id, partition, patienceMs });
  }

  #redriveContext(): RedriveContext {
    return { ...this.#o, scripts: (id) => this.scripts(id) };
  }

  #pause(kind: Pause["kind"], name: string, version: string | undefined, note: Note): Pause {
    return {
      ...{ kind, name, version: version ?? EVERY_VERSION, state: "paused" },
      ...{ who: note.by ?? "", reason: note.why ?? "", changedAtMs: this.#o.clock.nowMs() },
    };
  }

  /**
   * Asks Redis until the run is there to answer: one that is asleep is woken, one whose keys are damaged
   * is put back. Throws GV_RUN_NOT_READY if it stays between the two.
   */
  async #awake<A extends { kind: string }>(
    runId: string,
    ask: () => Promise<A>,
  ): Promise<{ row: RunRow; answer: A }> {
    const untilMs = this.#o.clock.monotonicMs() + this.#o.patienceMs;
    const damaged = new DamagedRun(runId, () => this.scripts(runId));
    for (;;) {
      const row = await whileAwake(this.#o, await this.#row(runId));
      const answer = await damaged.unless(ask);
      const isBetween =
        answer === null || ("status" in answer && BETWEEN.has(String(answer.status)));
      const isGone = answer?.kind === "gone" && (await this.#row(runId)).asleepSinceMs !== null;
      if (!isBetween && !isGone) {
        return { row, answer };
      }
      if (this.#o.clock.monotonicMs() >= untilMs) {
        throw damaged.notReady("is falling asleep or in repair and stays so");
      }
      await this.#o.pause(BETWEEN_MS);
    }
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

const STATES: { [state: string]: string } = {
  ...{ "": "not reached", c: "completed", f: "failed", s: "skipped", k: "being skipped" },
  ...{ w: "waiting", a: "active in another scope", r: "retrying in another scope" },
};

function notOpen(node: string, kind: "not_open" | "not_retryable", state: string): GavotteError {
  const is = STATES[state] ?? state;
  const message =
    kind === "not_retryable"
      ? `node "${node}" is ${is} and not executing: complete, fail or skip it instead`
      : `node "${node}" is ${is}: only a node that is ready, executing, waiting or retrying can be ` +
        "settled by hand; a run that failed can be redriven";
  return new GavotteError("GV_NODE_STATUS_REFUSED", message, { details: { status: is } });
}

function notPaused(what: string): GavotteError {
  return new GavotteError("GV_NOT_PAUSED", `${what} is not paused; "gavotte pauses" lists what is`);
}
