/**
 * What is wrong with a workflow's file, as `gavotte validate` tells it: nothing is stored or started,
 * and neither Redis nor Postgres is asked.
 *
 * A file may take its compiler seconds, so that is done in a thread, within the bounds that a
 * supervisor has for what is submitted: what is valid here is not refused there as too costly. How many
 * wait for the thread is bounded, and who is gone when his turn comes is passed over.
 */
import type { Logger } from "pino";
import type { Diagnostic } from "../compiler/index.ts";
import {
  COSTLY,
  GavotteError,
  GuardedThread,
  NO_THREAD,
  startThread,
  type GuardLimits,
} from "../sdk/internal.ts";

export interface CheckJob {
  text: string;
}

export interface FileCheck {
  valid: boolean;
  /** What it would be stored as; null: it has errors. */
  hash: string | null;
  diagnostics: readonly Diagnostic[];
  /** How many were found beyond these. */
  more?: number;
}

/** `failed`: the fault is ours. */
export type CheckAnswer = FileCheck | { failed: string };

/** Each may take half a minute, and nobody waits for longer than a connection may stand still. */
const UNDER_WAY_MAX = 16;

export class FileChecks {
  readonly #thread: GuardedThread<CheckJob, CheckAnswer>;
  #last: Promise<unknown> = Promise.resolve();
  #underWay = 0;
  #isStopped = false;

  /** `limits`, `start`: in tests others. */
  constructor(logger: Logger, limits: Partial<GuardLimits> = {}, start = startThread) {
    this.#thread = new GuardedThread(
      (options) => start("check-thread", import.meta.url, options),
      logger,
      limits,
    );
  }

  /**
   * What there is to say of a file. `gone`: whoever asked is. Throws GV_GATEWAY_BUSY,
   * GV_WORKFLOW_COSTLY, GV_GATEWAY_UNAVAILABLE.
   */
  async check(text: string, gone: AbortSignal): Promise<FileCheck> {
    if (this.#underWay >= UNDER_WAY_MAX) {
      throw busy(`${UNDER_WAY_MAX} files are being checked at this gateway`);
    }
    this.#underWay++;
    const answered = this.#last.then(() => this.#ask(text, gone));
    this.#last = answered.catch(() => undefined);
    try {
      return await answered;
    } catch (error) {
      if (this.#isStopped) {
        const message = "this gateway stops; ask another one";
        throw new GavotteError("GV_GATEWAY_UNAVAILABLE", message, { cause: error });
      }
      throw error;
    } finally {
      this.#underWay--;
    }
  }

  /** Ends the thread; whoever waits is told so. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#thread.stop();
  }

  async #ask(text: string, gone: AbortSignal): Promise<FileCheck> {
    if (gone.aborted) {
      throw busy("whoever asked is gone");
    }
    const answer = await this.#thread.run({ text });
    if (answer === COSTLY) {
      const { bounds } = this.#thread;
      const message = `compiling this file takes more than ${bounds}, so it would be refused, too`;
      throw new GavotteError("GV_WORKFLOW_COSTLY", message);
    }
    if (answer === NO_THREAD) {
      // Not on the event loop instead: all that watch runs through this gateway would stand still.
      throw busy("the thread that checks files has ended");
    }
    if ("failed" in answer) {
      throw new Error(answer.failed);
    }
    return answer;
  }
}

function busy(why: string): GavotteError {
  return new GavotteError("GV_GATEWAY_BUSY", `${why}; try again later`);
}
