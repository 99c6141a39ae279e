/**
 * What a stranger's file may cost its supervisor.
 *
 * Compiling the largest that is allowed takes seconds, and so does checking the worst data by the worst
 * schema. On the event loop nothing else would be done meanwhile: no archiving, no role kept. So what is
 * not known to be quick goes to a thread that has bounds (sdk/guarded-thread.ts). Where there is none to
 * be had, whoever asks does it himself.
 */
import type { Logger } from "pino";
import { patternSteps } from "../condition/index.ts";
import {
  COSTLY,
  GuardedThread,
  NO_THREAD,
  startThread,
  type DataProblem,
  type GuardLimits,
} from "../sdk/internal.ts";
import type { CompileDiagnostic } from "./workflows.ts";

export { COSTLY, NO_THREAD };

type Other = typeof COSTLY | typeof NO_THREAD;

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

export class CompileGuard extends GuardedThread<Job, JobAnswer> {
  constructor(logger: Logger, limits: Partial<GuardLimits> = {}, start = startThread) {
    super((options) => start("compile-thread", import.meta.url, options), logger, limits);
  }

  /** Of a JSON text. Throws if it is stopped meanwhile. */
  compile(document: string, limits?: DocumentLimits): Promise<CompileAnswer | Failed | Other> {
    return this.run({ document, limits });
  }

  /** Of a file's text, JSON or YAML. Throws likewise. */
  compileFile(file: string): Promise<CompileAnswer | Failed | Other> {
    return this.run({ file });
  }

  /** Data by a schema, JSON texts both. Throws if it is stopped meanwhile. */
  check(schema: string, input: string): Promise<Checked | Other> {
    return this.run({ schema, input });
  }
}
