/**
 * A thread for jobs that a stranger's data make as costly as they like, such as compiling his file.
 *
 * It does one job at a time and is given up when that takes too much; its memory is bounded, too, and
 * ends the thread, not the process. Most never need it: it is started with the first job, and ended when
 * there has been none for a while.
 *
 * Time is that of the processor: on a machine that is busy, or a process that was frozen, a good file
 * is not refused for having waited. Linux tells what the thread itself has used (thread-time.ts).
 * Elsewhere it is the lesser of what its process has used and of how long it was at work: never less
 * than its own, and, where all processors are busy, more.
 */
import type { WorkerOptions } from "node:worker_threads";
import type { Logger } from "pino";
import type { Thread } from "./thread.ts";
import { threadCell, threadCpuMs, type ThreadCell } from "./thread-time.ts";

/** It took more than it may. */
export const COSTLY = Symbol("costly");
/** There is none to be had. */
export const NO_THREAD = Symbol("no thread");

type Other = typeof COSTLY | typeof NO_THREAD;

export interface GuardLimits {
  /** Processor time of one job, ms. */
  cpuMsMax: number;
  /** Memory of the thread, MB. */
  heapMbMax: number;
}

const LIMITS: GuardLimits = { cpuMsMax: 30_000, heapMbMax: 1024 };
/** At work for so many times what it may use, it is charged for that, whatever it is said to use. */
const AT_WORK_FACTOR = 20;
const LOOK_MS_MAX = 500;
/** After its last job it is ended. */
export const IDLE_MS = 60_000;

/** `Job`s for a thread, each with an `Answer`; one after the other. */
export class GuardedThread<Job, Answer> {
  readonly #logger: Logger;
  readonly #limits: GuardLimits;
  #thread: Thread | null = null;
  #cell: ThreadCell = threadCell();
  #idle: NodeJS.Timeout | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #isStopped = false;
  readonly #start: (options: WorkerOptions) => Thread;

  /** `start`: starts it, with options that its module hands to `nameThread`. */
  constructor(
    start: (options: WorkerOptions) => Thread,
    logger: Logger,
    limits: Partial<GuardLimits> = {},
  ) {
    this.#logger = logger;
    this.#start = start;
    this.#limits = { ...LIMITS, ...limits };
  }

  /** Whether a job is under way, or waits. */
  get isBusy(): boolean {
    return this.#waiting > 0;
  }

  /** What a refusal says. */
  get bounds(): string {
    const { cpuMsMax, heapMbMax } = this.#limits;
    return `${cpuMsMax / 1000} s of processor time or ${heapMbMax} MB of memory`;
  }

  /** Ends the thread; whoever waits for it is told so. Safe to repeat. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#end();
  }

  /** Has a job done. Throws if it is stopped meanwhile. */
  async run<T extends Answer>(job: Job): Promise<T | Other> {
    this.#waiting++;
    clearTimeout(this.#idle);
    const answered = this.#last.then(() => this.#ask(job));
    this.#last = answered.catch(() => undefined);
    try {
      return (await answered) as T | typeof COSTLY;
    } catch (error) {
      if (this.#isStopped) {
        throw error;
      }
      this.#logger.error(
        { err: error },
        "the thread that compiles has ended in the middle of a job",
      );
      return NO_THREAD;
    } finally {
      this.#waiting--;
      clearTimeout(this.#idle);
      this.#idle = this.isBusy ? undefined : setTimeout(() => void this.#end(), IDLE_MS).unref();
    }
  }

  #ask(job: Job): Promise<Answer | typeof COSTLY> {
    const thread = this.#open();
    const usedMs = this.#meter(thread);
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (usedMs() > this.#limits.cpuMsMax) {
          over();
          resolve(this.#end().then(() => COSTLY));
        }
      };
      const looks = setInterval(look, Math.min(LOOK_MS_MAX, this.#limits.cpuMsMax)).unref();
      const onAnswer = (answer: Answer): void => (over(), resolve(answer));
      const onError = (error: NodeJS.ErrnoException): void => {
        over();
        void (error.code === "ERR_WORKER_OUT_OF_MEMORY" ? resolve(COSTLY) : reject(error));
      };
      const onExit = (): void => (over(), reject(new Error("it has exited")));
      const over = (): void => {
        clearInterval(looks);
        thread.off("message", onAnswer).off("error", onError).off("exit", onExit);
      };
      thread.on("message", onAnswer).on("error", onError).on("exit", onExit);
      thread.postMessage(job);
    });
  }

  /** What the thread has used from now on, ms. */
  #meter(thread: Thread): () => number {
    const cell = this.#cell;
    const before = threadCpuMs(cell) ?? 0; // one that has just been started has used nothing
    const begun = process.cpuUsage();
    const { eventLoopUtilization } = thread.performance;
    const idleUntil = eventLoopUtilization();
    return () => {
      const { active } = eventLoopUtilization(idleUntil);
      const own = threadCpuMs(cell);
      if (own !== null && active < AT_WORK_FACTOR * this.#limits.cpuMsMax) {
        return own - before;
      }
      const { user, system } = process.cpuUsage(begun);
      return Math.min((user + system) / 1000, active);
    };
  }

  #open(): Thread {
    if (this.#isStopped) {
      throw new Error("it was stopped");
    }
    const known = this.#thread;
    if (known !== null) {
      return known;
    }
    const resourceLimits = { maxOldGenerationSizeMb: this.#limits.heapMbMax };
    this.#cell = threadCell();
    const about = { resourceLimits, name: "compile", workerData: { cell: this.#cell } };
    const thread = this.#start(about);
    thread.unref();
    const forget = (): void => void (this.#thread === thread && (this.#thread = null));
    thread.on("error", forget).on("exit", forget);
    this.#thread = thread;
    return thread;
  }

  async #end(): Promise<void> {
    const thread = this.#thread;
    this.#thread = null;
    clearTimeout(this.#idle);
    await thread?.terminate();
  }
}
