/**
 * Functions of the recovery tests, for workers in processes of their own: each call leaves a line in
 * a file, so that executions can be counted whatever becomes of the process.
 */
import { appendFileSync } from "node:fs";
import type { FunctionHandler } from "../../sdk/internal.ts";

interface Params {
  /** File that gets a line per call. */
  file: string;
  /** For so long the event loop is blocked, ms. */
  ms?: number;
}

function note(runId: string, node: string, { file }: Params): void {
  appendFileSync(file, `${runId} ${node}\n`);
}

/** `block` stands still with its whole process, as a handler that computes does. */
export const RECOVERY_FUNCTIONS: readonly [string, FunctionHandler][] = [
  [
    "block",
    ({ runId, node, params }) => {
      const own = params as unknown as Params;
      note(runId, node, own);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, own.ms ?? 0);
      return { by: process.pid };
    },
  ],
  [
    "note",
    ({ runId, node, params }) => {
      note(runId, node, params as unknown as Params);
      return { by: process.pid };
    },
  ],
];
