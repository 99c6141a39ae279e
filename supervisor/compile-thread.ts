/** The thread that compile-guard.ts gives its jobs to, one at a time. */
import { parentPort, workerData } from "node:worker_threads";
import { canonicalJson, compile, makeValidator } from "../compiler/index.ts";
import type { CompileResult, UserValidator } from "../compiler/index.ts";
import type { Json } from "../compiler/ir.ts";
import type { Checked, CompileAnswer, DocumentLimits, Failed, Job } from "./compile-guard.ts";
import { nameThread, type ThreadCell } from "./thread-time.ts";

const PROBLEMS_MAX = 20;
/** The one used last: a flood of submissions is mostly of one workflow. */
let known: { schema: string; validate: UserValidator | string } | undefined;

function compileText(text: string, limits?: DocumentLimits): CompileAnswer | Failed {
  let result: CompileResult;
  try {
    result = compile({ document: JSON.parse(text) as Json }, limits && { limits });
  } catch (error) {
    return { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  const { ir, hash, tags, diagnostics } = result;
  const problems = diagnostics
    .filter(({ severity }) => severity === "error")
    .slice(0, PROBLEMS_MAX)
    .map(({ severity, code, message, pointer }) => ({ severity, code, message, pointer }));
  return { ir: ir === null ? null : canonicalJson(ir), hash, tags, diagnostics: problems };
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
  const answer =
    "document" in job ? compileText(job.document, job.limits) : check(job.schema, job.input);
  parentPort?.postMessage(answer);
});
