/** What the feed sends (25 §Live feed): built once per change, sent to all who watch the run. */
import type { Json } from "../compiler/ir.ts";
import { isTerminal, timestamp, type RunView, type Transition } from "../sdk/internal.ts";

export interface FeedMessage {
  position: string;
  /** JSON text; `withOutput` is the same where the change carries no output. */
  text: string;
  withOutput: string;
  /** The run's last message. */
  isEnd: boolean;
}

/** Everything a newcomer needs: the state as of `position`. */
export function snapshotText(runId: string, view: RunView, position: string): string {
  const nodes: { [id: string]: Json } = {};
  for (const [id, node] of Object.entries(view.nodes)) {
    const { status, attempts, started_at, ended_at } = node;
    Object.defineProperty(nodes, id, {
      value: { status, attempts, started_at, ended_at },
      enumerable: true,
    });
  }
  return JSON.stringify({
    type: "snapshot",
    run_id: runId,
    status: view.status,
    progress: view.progress,
    current_step: view.current_step,
    nodes,
    position,
    ...businessOf(view),
    ...asleepOf(view),
  });
}

/** What the run's nodes say of it, if they do. */
function businessOf({ businessStatus: status }: RunView): { business_status?: string } {
  return status === null ? {} : { business_status: status };
}

/** Of a run that is asleep: since when, and when its earliest timer is due (null: it has none). */
function asleepOf({ asleep }: RunView): { asleep?: Json } {
  if (asleep === null) {
    return {};
  }
  const { sinceMs, untilMs } = asleep;
  const wakes_at = untilMs === null ? null : timestamp(untilMs);
  return { asleep: { since: new Date(sinceMs).toISOString(), wakes_at } };
}

/** The last message of a run that has ended. */
export function endText(runId: string, view: RunView, position: string): string {
  const { status, error } = view;
  const run = { run_id: runId, status, ...businessOf(view), error };
  return JSON.stringify({ type: "end", ...run, position });
}

/**
 * Applies a transition to the view and returns what to send: one update per node that it changed,
 * derived changes (a node became ready, nodes were skipped) included, all with its position; an
 * update of the run if it changed no node, or the run's business status; `end` after the run's end.
 * What happens inside a map shows as that node's `elements`.
 */
export function advance(
  runId: string,
  view: RunView,
  t: Transition,
  tMs: number,
  position: string,
): FeedMessage[] {
  const changed = view.apply(t, tMs);
  const isInside = t.m !== undefined && t.bs === undefined;
  if (isInside || (t.e === "map.element" && changed.length === 0)) {
    return [];
  }
  const common = {
    type: "status_update",
    run_id: runId,
    job_id: runId,
    event: t.e,
    progress: view.progress,
    current_step: view.current_step,
    timestamp: new Date(tMs).toISOString(),
    position,
  };
  const subject = t.n === undefined ? null : (view.ir.nodes[t.n]?.id ?? null);
  const messages: FeedMessage[] = changed.map((id) => {
    const { status, attempts, elements } = view.nodes[id] as RunView["nodes"][string];
    const isSubject = id === subject;
    const update = {
      ...{ ...common, node: id, scope: t.s ?? "", attempt: attempts, status },
      ...(elements === undefined ? {} : { elements }),
    };
    const text = JSON.stringify(update);
    const hasOutput = isSubject && t.o !== undefined;
    const withOutput = hasOutput ? JSON.stringify({ ...update, output: t.o }) : text;
    return { position, text, withOutput, isEnd: false };
  });
  if (changed.length === 0 || t.e.startsWith("run.") || t.bs !== undefined) {
    const own = { node: null, scope: "", attempt: 0, status: view.status };
    const update = { ...common, ...own, ...businessOf(view), ...asleepOf(view) };
    const text = JSON.stringify(update);
    messages.push({ position, text, withOutput: text, isEnd: false });
  }
  if (isTerminal(view.status)) {
    const text = endText(runId, view, position);
    messages.push({ position, text, withOutput: text, isEnd: true });
  }
  return messages;
}
