/** What a run without an output or error of its own comes to, from its nodes. */
import type { Json } from "../compiler/ir.ts";
import { withoutOutput } from "../condition/index.ts";
import type { RunError } from "./status.ts";

/** Output of a run without a template, from its completed terminal nodes (25 §Run output). */
export function runOutput(completed: readonly (readonly [string, Json])[]): Json {
  if (completed.length <= 1) {
    return completed[0]?.[1] ?? null;
  }
  return Object.fromEntries(completed);
}

/** Error of a run that failed under `failure: continue`. */
export function failedNodesError(
  failed: readonly { id: string; error: RunError | null }[],
): RunError {
  const ids = failed.map((node) => node.id);
  return {
    code: failed[0]?.error?.code ?? "HANDLER_ERROR",
    message: `${ids.length} node(s) failed: ${ids.join(", ")}`,
    ...(ids[0] === undefined ? {} : { node: ids[0] }),
    details: {
      nodes: failed.map(({ id, error }) => ({ id, error: error && withoutOutput(error) })),
    },
  };
}
