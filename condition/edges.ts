/**
 * Which out-edges of a node are live.
 *
 * An evaluation error is never taken for "false": it propagates, and the node fails. Otherwise a
 * typing mistake would send a run down the default path without a trace.
 */
import type { Test } from "./named.ts";
import type { Vars } from "./types.ts";

export interface EdgeCandidate {
  condition: Test | null;
}

/** `first`: one edge; `all`: every edge that holds; `each`: every edge decides for itself. */
export type EdgeMode = "first" | "all" | "each";

/**
 * For each candidate, whether it is live.
 *
 * Under `first` and `all` an edge without a condition is the default, whatever its place: live only
 * if no conditional edge holds (the first one, if there are several). Under `first` the conditions
 * after the one that holds are not evaluated. Throws EvaluationError.
 */
export function decideEdges(
  edges: readonly EdgeCandidate[],
  mode: EdgeMode,
  vars: Vars,
): boolean[] {
  if (mode === "each") return edges.map(({ condition }) => condition?.test(vars) ?? true);
  const live = edges.map(() => false);
  for (const [i, { condition }] of edges.entries()) {
    if (condition === null || !condition.test(vars)) continue;
    live[i] = true;
    if (mode === "first") return live;
  }
  const fallback = edges.findIndex(({ condition }) => condition === null);
  if (!live.includes(true) && fallback >= 0) live[fallback] = true;
  return live;
}
