/**
 * What a stranger's file may cost its supervisor.
 *
 * Compiling the largest that is allowed takes seconds, and so does checking the worst data by the worst
 * schema. On the event loop nothing else would be done meanwhile: no archiving, no role kept. So what is
 * not known to be quick goes to a thread, which is given up when it takes too much; its memory is
 * bounded, too, and ends the thread, not the process. Most never need it: it is started with the first
 * such job, and ended when there has been none for a while.
 *
 * Time is that of the processor: on a machine that is busy, or a process that was frozen, a good file
 * is not refused for having waited. Linux tells what the thread itself has used (thread-time.ts).
 * Elsewhere it is the lesser of what its process has used and of how long it was at work: never less
 * than its own, and, where all processors are busy, more.
 */
import type { Logger } from "pino";
import { patternSteps } from "../condition/index.ts";
import { startThread, type DataProblem, type Thread } from "../sdk/internal.ts";
import { threadCell, threadCpuMs, type ThreadCell } from "./thread-time.ts";
import type { CompileDiagnostic } from "./workflows.ts";

export type Job =
  | { document: string; limits: DocumentLimits | undefined }
  | { file: string }
  | { schema: string; input: string };

/** What a document may have, if not what one may have that somebody wrote. */
export interface DocumentLimits {
  bytes: number;
  nodes: number;
}

export interface CompileAnswer {
  /** Canonical JSON. */
  ir: string | null;
  hash: string | null;
  tags: readonly string[];
  /** Those that are errors. */
  diagnostics: readonly CompileDiagnostic[];
}

/** The fault is ours. */
export interface Failed {
  failed: string;
}

/** What is wrong with data; a text: its schema cannot be used. */
export type Checked = DataProblem[] | string;

export type JobAnswer = CompileAnswer | Checked | Failed;

/** It took more than it may. */
export const COSTLY = Symbol("costly");
/** There is none to be had: whoever asks does it himself. */
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
/** Of JSON text: about 100 ms at worst. */
const QUICK_CHARS = 8192;
const QUICK_PATTERN_STEPS = 5000;

/** Whether compiling a document, or making the validator of a schema, is known to take little time. */
export function isQuick(text: string): boolean {
  if (text.length > QUICK_CHARS) {
    return false;
  }
  // Only repeats make much of little: few texts have any.
  const texts = /\{\d/.test(text) ? (text.match(/"(?:[^"\\]|\\.)*"/g) ?? []) : [];
  const repeating = texts.filter((one) => /\{\d/.test(one));
  const steps = repeating.map((one) => patternSteps(JSON.parse(one) as string));
  return steps.reduce((sum, count) => sum + count, 0) <= QUICK_PATTERN_STEPS;
}

/** The same of a file. Of YAML nothing is counted, and what it names once may stand there often. */
export function isQuickFile(text: string): boolean {
  return text.length <= QUICK_CHARS && !/\{\d|&/.test(text);
}

export class CompileGuard {
  readonly #logger: Logger;
  readonly #limits: GuardLimits;
  #thread: Thread | null = null;
  #cell: ThreadCell = threadCell();
  #idle: NodeJS.Timeout | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #isStopped = false;
  readonly #start: typeof startThread;

  constructor(logger: Logger, limits: Partial<GuardLimits> = {}, start = startThread) {
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

  /** Of a JSON text. Throws if it is stopped meanwhile. */
  compile(document: string, limits?: DocumentLimits): Promise<CompileAnswer | Failed | Other> {
    return this.#run({ document, limits });
  }

  /** Of a file's text, JSON or YAML. Throws likewise. */
  compileFile(file: string): Promise<CompileAnswer | Failed | Other> {
    return this.#run({ file });
  }

  /** Data by a schema, JSON texts both. Throws if it is stopped meanwhile. */
  check(schema: string, input: string): Promise<Checked | Other> {
    return this.#run({ schema, input });
  }

  /** Ends the thread; whoever waits for it is told so. Safe to repeat. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#end();
  }

  async #run<T extends JobAnswer>(job: Job): Promise<T | Other> {
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
        "the compile thread has ended: the event loop does its job",
      );
      return NO_THREAD;
    } finally {
      this.#waiting--;
      clearTimeout(this.#idle);
      this.#idle = this.isBusy ? undefined : setTimeout(() => void this.#end(), IDLE_MS).unref();
    }
  }

  #ask(job: Job): Promise<JobAnswer | typeof COSTLY> {
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
      const onAnswer = (answer: JobAnswer): void => (over(), resolve(answer));
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
      throw new Error("the supervisor stops");
    }
    const known = this.#thread;
    if (known !== null) {
      return known;
    }
    const resourceLimits = { maxOldGenerationSizeMb: this.#limits.heapMbMax };
    this.#cell = threadCell();
    const about = { resourceLimits, name: "compile", workerData: { cell: this.#cell } };
    const thread = this.#start("compile-thread", import.meta.url, about);
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
