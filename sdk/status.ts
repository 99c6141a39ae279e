/** Statuses of runs and nodes, and the error that an execution carries (25-contracts). */
export type RunStatus =
  "QUEUED" | "RUNNING" | "PAUSED" | "FINISHING" | "COMPLETED" | "FAILED" | "CANCELLED";

export type NodeStatus =
  | "pending"
  | "ready"
  | "running"
  | "waiting"
  | "retrying"
  | "completed"
  | "failed"
  | "skipped"
  | "cancelled";

const TERMINAL: ReadonlySet<RunStatus> = new Set(["COMPLETED", "FAILED", "CANCELLED"]);

/** Whether a run in this status has ended for good. */
export function isTerminal(status: RunStatus): boolean {
  return TERMINAL.has(status);
}

/** Why an execution failed. `code` is one of 25 §Error, or the code that the handler threw. */
export interface RunError {
  code: string;
  message: string;
  node?: string;
  scope?: string;
  attempts?: number;
  details?: unknown;
}
