/** What is told of a run: its row, and its nodes as folded from its journal. */
import type { Ir, Json } from "../compiler/ir.ts";
import { RunView } from "./fold.ts";
import type { NodeWait } from "./node-views.ts";
import { resolveValues } from "./postgres/index.ts";
import type {
  AdmissionWait,
  ArchivedTransition,
  Pause,
  Queryable,
  RunRow,
} from "./postgres/index.ts";
import { isTerminal, type NodeStatus, type RunError, type RunStatus } from "./status.ts";
import { parseUnit } from "./unit.ts";

export interface NodeReport {
  status: NodeStatus;
  /** How often it was started: once per round of a loop. */
  activations: number;
  /** Attempts of the last activation; 0 before the first. */
  attempts: number;
  /** Of the last activation; null while there is none. */
  output: Json;
  /** Why it has `failed`, also where an edge handled that; if it is `retrying`, its last attempt. */
  error?: RunError;
  /** While it is `waiting`. */
  wait?: WaitReport;
}

/** What a node waits for. */
export interface WaitReport {
  for: "delay" | "rate_limit" | "circuit" | "signal" | "approval" | "child";
  /** ISO 8601; null: without end. */
  until: string | null;
  /** Name of the signal. */
  signal?: string;
  /** Of a `wait`: its callback token. Of an approval: its id. */
  token?: string;
  title?: string;
  assignees?: string[];
  /** Run id of the child. */
  run?: string;
  /** Key of the rate limit, name of the circuit. */
  key?: string;
}

/** A token inside an element of a map that waits for something or for its retry. */
export interface ElementReport {
  /** The place of the element: "3#17" is element 17 of the map that is node 3. */
  element: string;
  node: string;
  /** Rounds of loops in the map's body; "" outside of them. */
  scope: string;
  status: NodeStatus;
  attempts: number;
  wait?: WaitReport;
}

/** The document of `gavotte run --json`. */
export interface RunReport {
  run_id: string;
  workflow: string;
  status: RunStatus;
  output: Json;
  error: RunError | null;
  /** ISO 8601, null before that. */
  started_at: string | null;
  ended_at: string | null;
  nodes: { [id: string]: NodeReport };
  /** What its nodes say of it (`sets_status`); absent: nothing. */
  business_status?: string;
  /** What stands still inside elements of its maps, by their place; at most 100. */
  elements?: ElementReport[];
  /** What it has to wait for before it starts. */
  admission?: AdmissionReport;
  /** While it is asleep: it waits for long and is not in Redis. */
  asleep?: SleepReport;
  /** While it stands still until it is repaired. */
  frozen?: true;
  /** While it has not ended and the whole deployment is stopped. */
  stopped?: StopReport;
  /** The run that has started it and waits for it. */
  parent?: { run_id: string; node: string };
  /** Runs that its nodes have started and wait for, oldest first; at most 100. */
  children?: ChildReport[];
  /** The run that undoes it. */
  compensation?: { run_id: string; status: RunStatus };
  /** The run that it undoes. */
  compensates?: string;
}

/** Why an accepted run has not started. */
export interface AdmissionReport {
  /** A place of its key, a start of its rate, or a place of its tenant. */
  for: "concurrency" | "rate_limit" | "tenant";
  /** The evaluated key, or the tenant. */
  key: string;
  limit?: number;
  /** Runs that have the places, at most ten. */
  held_by?: string[];
  /** ISO 8601: when its rate has its next start. */
  until?: string | null;
  /** Runs that wait for the same and have their turn before. */
  ahead: number;
}

/** What keeps a run from being started. */
export function admissionOf(wait: AdmissionWait): AdmissionReport {
  const { ahead, holders, held } = wait;
  if (wait.state === "tenant") {
    return { for: "tenant", key: wait.tenant, ahead };
  }
  const isFull = wait.keyLimit !== null && held >= wait.keyLimit;
  if (isFull || wait.rateLimit === null) {
    const limit = wait.keyLimit ?? 1;
    return { for: "concurrency", key: wait.keyText ?? "", limit, held_by: holders, ahead };
  }
  const until = isoTime(wait.rateFreeMs);
  return { for: "rate_limit", key: wait.rateText ?? "", limit: wait.rateLimit, until, ahead };
}

export interface StopReport {
  /** ISO 8601. */
  since: string;
  by: string;
  reason: string;
}

/** A stop as it is told. */
export function stopReportOf({ changedAtMs, who, reason }: Pause): StopReport {
  return { since: new Date(changedAtMs).toISOString(), by: who, reason };
}

export interface SleepReport {
  /** ISO 8601. */
  since: string;
  /** When its earliest timer is due; null: it has none, or somebody has asked for it to be woken. */
  wakes_at: string | null;
}

export interface ChildReport {
  run_id: string;
  node: string;
  /** The place of the map's element that has started it, if one has. */
  element?: string;
  workflow: string;
  version: string;
  status: RunStatus;
}

/** What is told of a run's place among others. */
export interface Relatives {
  children: readonly RunRow[];
  compensation: { id: string; status: RunStatus } | null;
}

/** Members of a report; those that say nothing are left out. */
export function relativesOf(
  row: RunRow,
  { children, compensation }: Relatives,
): Partial<RunReport> {
  const { parentRunId, parentNode, compensates } = row;
  return {
    ...(parentRunId === null ? {} : { parent: { run_id: parentRunId, node: parentNode ?? "" } }),
    ...(children.length === 0 ? {} : { children: [...children].reverse().map(childOf) }),
    ...(compensation === null
      ? {}
      : { compensation: { run_id: compensation.id, status: compensation.status } }),
    ...(compensates === null ? {} : { compensates }),
  };
}

function childOf({ id, parentNode, parent, workflow, version, status }: RunRow): ChildReport {
  // The token that waits for it begins with its unit (scripts/include/parent.lua).
  const { home } = parseUnit((parent ?? "").split("|")[0] ?? "");
  const at = { node: parentNode ?? "", ...(home === "" ? {} : { element: home }) };
  return { run_id: id, ...at, workflow, version, status };
}

export interface RunSummary {
  run_id: string;
  workflow: string;
  version: string;
  status: RunStatus;
  priority: string;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  error: RunError | null;
  business_status?: string;
  asleep?: SleepReport;
  /** While it stands still until it is repaired. */
  frozen?: true;
}

/** Folds pages of archived transitions, in order. */
export async function foldRun(
  ir: Ir,
  pages: AsyncIterable<ArchivedTransition[]> | Iterable<ArchivedTransition[]>,
): Promise<RunView> {
  const view = new RunView(ir);
  for await (const page of pages) {
    page.forEach(({ transition, t }) => view.apply(transition, t));
  }
  return view;
}

/** Puts large outputs of nodes in the place of their references, as far as they are archived. */
export function resolveOutputs(db: Queryable, view: RunView): Promise<void> {
  return resolveValues(db, Object.values(view.nodes), "output");
}

/** The report of a run. The row decides about its end, the view about its nodes. */
export function reportOf(row: RunRow, view: RunView): RunReport {
  const nodes: { [id: string]: NodeReport } = {};
  for (const node of view.ir.nodes) {
    const seen = view.nodes[node.id];
    if (seen !== undefined && node.synthetic !== true) {
      const { status, activations, attempts, output = null } = seen;
      // Not an assignment: `__proto__` may be a node's id.
      const wait = seen.wait === undefined ? {} : { wait: waitOf(seen.wait) };
      const hasFailed = status === "failed" || status === "retrying";
      const error = hasFailed && seen.error !== undefined ? { error: seen.error } : {};
      const value = { status, activations, attempts, output, ...error, ...wait };
      Object.defineProperty(nodes, node.id, { value, enumerable: true });
    }
  }
  return {
    run_id: row.id,
    workflow: row.workflow,
    status: row.status,
    output: parse(row.output),
    error: errorIn(row.error),
    started_at: isoTime(row.startedAtMs),
    ended_at: isoTime(row.endedAtMs),
    nodes,
    ...businessOf(view),
    ...sleepOf(row),
    ...frozenOf(row),
  };
}

function frozenOf({ suspect, status }: RunRow): { frozen?: true } {
  return suspect && !isTerminal(status) ? { frozen: true } : {};
}

function sleepOf({ asleepSinceMs, wakesAtMs }: RunRow): { asleep?: SleepReport } {
  const since = isoTime(asleepSinceMs);
  const wakes_at = wakesAtMs === 0 ? null : isoTime(wakesAtMs);
  return since === null ? {} : { asleep: { since, wakes_at } };
}

/** A wait as it is told. */
export function waitOf({ for: what, untilMs, rate, circuit }: NodeWait): WaitReport {
  const until = isoTime(untilMs);
  if (what === null && circuit !== undefined) {
    return { for: "circuit", until, key: circuit };
  }
  if (what === null) {
    return rate === undefined ? { for: "delay", until } : { for: "rate_limit", until, key: rate };
  }
  const { kind, signal, token, title, assignees, run } = what;
  return {
    for: kind,
    until,
    ...(signal === undefined ? {} : { signal }),
    ...(token === undefined ? {} : { token }),
    ...(title === undefined ? {} : { title }),
    ...(assignees === undefined ? {} : { assignees }),
    ...(run === undefined ? {} : { run }),
  };
}

export function summaryOf(row: RunRow): RunSummary {
  return {
    run_id: row.id,
    workflow: row.workflow,
    version: row.version,
    status: row.status,
    priority: row.priority,
    created_at: new Date(row.createdAtMs).toISOString(),
    started_at: isoTime(row.startedAtMs),
    ended_at: isoTime(row.endedAtMs),
    error: errorIn(row.error),
    ...businessOf(row),
    ...sleepOf(row),
    ...frozenOf(row),
  };
}

function businessOf({ businessStatus: status }: { businessStatus: string | null }): {
  business_status?: string;
} {
  return status === null ? {} : { business_status: status };
}

/** An error column: the error itself, or as the scripts wrap it. */
export function errorIn(text: string | null): RunError | null {
  const value = parse(text) as { error?: RunError } | RunError | null;
  if (value !== null && "error" in value && typeof value.error === "object") {
    return value.error;
  }
  return value as RunError | null;
}

function parse(text: string | null): Json {
  return text === null ? null : (JSON.parse(text) as Json);
}

function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
