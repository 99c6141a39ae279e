/** The thread that compile-guard.ts gives its jobs to, one at a time. */
import { parentPort, workerData } from "node:worker_threads";
import { canonicalJson, compile, makeValidator } from "../compiler/index.ts";
import type { CompileResult, Diagnostic, UserValidator } from "../compiler/index.ts";
import type { Json } from "../compiler/ir.ts";
import type { Checked, CompileAnswer, Failed, Job } from "./compile-guard.ts";
import { nameThread, type ThreadCell } from "../sdk/thread-time.ts";
import type { CompileDiagnostic } from "./workflows.ts";

const PROBLEMS_MAX = 20;
/** The one used last: a flood of submissions is mostly of one workflow. */
let known: { schema: string; validate: UserValidator | string } | undefined;

function compiled(job: Exclude<Job, { schema: string }>): CompileAnswer | Failed {
  let result: CompileResult;
  try {
    result =
      "file" in job
        ? compile({ text: job.file })
        : compile(
            { document: JSON.parse(job.document) as Json },
            job.limits && { limits: job.limits },
          );
  } catch (error) {
    return { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  const { ir, hash, tags, diagnostics } = result;
  const problems = diagnostics
    .filter(({ severity }) => severity === "error")
    .slice(0, PROBLEMS_MAX)
    .map(toTell);
  return { ir: ir === null ? null : canonicalJson(ir), hash, tags, diagnostics: problems };
}

/** What is told of a diagnostic; the rest need not be copied between the threads. */
function toTell({
  severity,
  code,
  message,
  hint,
  pointer,
  line,
  column,
}: Diagnostic): CompileDiagnostic {
  return { severity, code, message, hint, pointer, line, column };
}

function check(schema: string, input: string): Checked {
  if (known?.schema !== schema) {
    known = { schema, validate: makeValidator(JSON.parse(schema) as Json) };
  }
  const { validate } = known;
  return typeof validate === "string"
    ? validate
    : validate(JSON.parse(input) as Json).slice(0, PROBLEMS_MAX);
}

nameThread((workerData as { cell: ThreadCell }).cell);
parentPort?.on("message", (job: Job) => {
  const answer = "schema" in job ? check(job.schema, job.input) : compiled(job);
  parentPort?.postMessage(answer);
});
