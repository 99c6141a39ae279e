/**
 * Functions of the recovery tests, for workers in processes of their own: each call leaves a line in
 * a file, so that executions can be counted whatever becomes of the process.
 */
import { appendFileSync, readFileSync } from "node:fs";
import type { FunctionHandler } from "../../sdk/internal.ts";

interface Params {
  /** File that gets a line per call. */
  file: string;
  /** For so long the event loop is blocked, ms. */
  ms?: number;
  /** So many calls for one node of one run end their process. */
  deaths?: number;
}

function note(runId: string, node: string, { file }: Params): void {
  appendFileSync(file, `${runId} ${node}\n`);
}

/** How often this node of this run was called. */
function callsOf(runId: string, node: string, { file }: Params): number {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line === `${runId} ${node}`).length;
}

/**
 * `block` stands still with its whole process, as a handler that computes does; `die` ends it, as one
 * does that takes all memory.
 */
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
    "die",
    ({ runId, node, params }) => {
      const own = params as unknown as Params;
      note(runId, node, own);
      if (callsOf(runId, node, own) <= (own.deaths ?? 0)) {
        process.kill(process.pid, "SIGKILL");
      }
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
