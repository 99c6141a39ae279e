/** What is told of a run when nothing can happen to it any more. */
import type { GraphRun, Outcome } from "./graph-run.ts";
import type { InterpretResult, ReferenceError, TraceStep } from "./types.ts";

/** The result of a run; without an outcome it was cancelled, or waits for ever. */
export function runResult(
  root: GraphRun,
  outcome: Outcome | undefined,
  isCancelled: boolean,
): InterpretResult {
  const status = isCancelled ? "CANCELLED" : statusOf(outcome);
  const error = errorOf(outcome, isCancelled);
  const output = outcome && "output" in outcome ? outcome.output : null;
  const failed = error === undefined ? {} : { error };
  const { trace, elements } = root.place.run;
  trace.push({ event: EVENTS[status], output, ...failed });
  const isWaiting = status === "WAITING";
  const inside = [...elements].map(([home, graph]) => [home, graph.record.nodes(isWaiting)]);
  return {
    ...{ status, output, ...failed },
    failed_nodes: root.record.failedNodes(),
    nodes: root.record.nodes(isWaiting),
    elements: Object.fromEntries(inside) as InterpretResult["elements"],
    trace,
  };
}

const EVENTS = {
  COMPLETED: "run.completed",
  FAILED: "run.failed",
  CANCELLED: "run.cancelled",
  WAITING: "run.waiting",
} as const satisfies { [status in InterpretResult["status"]]: TraceStep["event"] };

function statusOf(outcome: Outcome | undefined): "COMPLETED" | "FAILED" | "WAITING" {
  if (!outcome) return "WAITING";
  return "output" in outcome ? "COMPLETED" : "FAILED";
}

function errorOf(outcome: Outcome | undefined, isCancelled: boolean): ReferenceError | undefined {
  if (isCancelled) return { code: "CANCELLED", message: "the run was cancelled" };
  return outcome && "error" in outcome ? outcome.error : undefined;
}
