/** The thread that file-checks.ts gives workflows' files to, one at a time. */
import { parentPort, workerData } from "node:worker_threads";
import { compile } from "../compiler/index.ts";
import { nameThread, type ThreadCell } from "../sdk/thread-time.ts";
import type { CheckAnswer, CheckJob } from "./file-checks.ts";

function check({ text }: CheckJob): CheckAnswer {
  try {
    const { ir, hash, diagnostics, more } = compile({ text });
    return { valid: ir !== null, hash, diagnostics, ...(more === undefined ? {} : { more }) };
  } catch (error) {
    return { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

nameThread((workerData as { cell: ThreadCell }).cell);
parentPort?.on("message", (job: CheckJob) => parentPort?.postMessage(check(job)));
