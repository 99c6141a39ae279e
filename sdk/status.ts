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

/**
 * A run in Redis: the status in its hash; `absent`: no hash, `suspect`: frozen until repaired,
 * `asleep`: frozen, on its way out of Redis or back (docs/hibernate.md).
 */
export type HotRunStatus =
  | ("absent" | "running" | "paused" | "finishing" | "asleep" | "suspect")
  | ("completed" | "failed" | "cancelled");

export type RunAction =
  | "start"
  | "pause"
  | "resume"
  | "settle"
  | "complete"
  | "drain"
  | "fail"
  | "finish"
  | "time_out"
  | "cancel"
  | "intervene"
  | "release"
  | "redrive"
  | "hibernate"
  | "evict"
  | "begin_wake"
  | "wake";

/**
 * What a run's status allows, and what becomes of it; an action that is missing for a status is
 * refused, and changes nothing. The scripts obey it (status.test.ts tries every one of them).
 *
 * settle: a token that leaves others. complete, drain, fail: the last token without an output
 * template, with one, and a failure that nobody handles. `suspect` is left by a repair alone, which
 * is no script; a redrive needs a row that is FAILED besides.
 */
export const RUN_TRANSITIONS: {
  readonly [action in RunAction]: { readonly [from in HotRunStatus]?: HotRunStatus };
} = {
  start: { absent: "running" },
  pause: { running: "paused", paused: "paused" },
  resume: { paused: "running" },
  settle: { running: "running", paused: "paused" },
  complete: { running: "completed", paused: "completed" },
  drain: { running: "finishing", paused: "finishing" },
  fail: { running: "failed", paused: "failed" },
  finish: { finishing: "completed" },
  time_out: { running: "failed", paused: "failed", finishing: "failed" },
  cancel: {
    ...{ running: "cancelled", paused: "cancelled", finishing: "cancelled" },
    cancelled: "cancelled",
  },
  intervene: { running: "running", paused: "paused" },
  release: { completed: "absent", failed: "absent", cancelled: "absent", absent: "absent" },
  redrive: { absent: "running" },
  // Of a run whose tokens all wait; that of the matrix has one in somebody's hands.
  hibernate: {},
  evict: { asleep: "absent" },
  begin_wake: { absent: "asleep", asleep: "asleep" },
  wake: { asleep: "running" },
};

/**
 * What the row of a run may become, besides what it is: what follows from the transitions in Redis,
 * some of which the archiver has seen together. Postgres refuses all else (migration 0019).
 */
export const ROW_TRANSITIONS: { readonly [from in RunStatus]: readonly RunStatus[] } = {
  QUEUED: ["RUNNING", "PAUSED", "FINISHING", "COMPLETED", "FAILED", "CANCELLED"],
  RUNNING: ["PAUSED", "FINISHING", "COMPLETED", "FAILED", "CANCELLED"],
  PAUSED: ["RUNNING", "FINISHING", "COMPLETED", "FAILED", "CANCELLED"],
  FINISHING: ["COMPLETED", "FAILED", "CANCELLED"],
  COMPLETED: [],
  FAILED: ["RUNNING"],
  CANCELLED: [],
};

/** Why an execution failed. `code` is one of 25 §Error, or the code that the handler threw. */
export interface RunError {
  code: string;
  message: string;
  node?: string;
  scope?: string;
  attempts?: number;
  details?: unknown;
}
