/** Rows of runs: what people and programs see of a run, and what outlives its keys in Redis. */
import type { Priority } from "../../compiler/ir.ts";
import type { RunStatus } from "../status.ts";
import type { RunLimits } from "./admission-rules.ts";
import { bigintArray, integerArray, portions, textArray } from "./arrays.ts";
import type { NewBlob } from "../blobs.ts";
import { insertBlobs } from "./blobs.ts";
import type { Queryable } from "./connect.ts";

export interface NewRun {
  id: string;
  tenant: string;
  workflow: string;
  version: string;
  irHash: string;
  /** The workflow was named by a reference, which may mean another version by another time. */
  isByReference?: boolean;
  partition: number;
  namespace: string;
  priority: Priority;
  /** JSON text; of a large one the reference. */
  input: string;
  /** What its input, and what it begins with, refer to. */
  blobs?: readonly NewBlob[];
  idempotencyKey: string | null;
  /** Identifies the payload: the same key with another one is a conflict. */
  requestHash: string;
  createdAtMs: number;
  /** JSON text: workflow reference to IR hash, for the run's whole tree; null: it has none. */
  bindings?: string | null;
  /** The run that this one undoes. */
  compensates?: string | null;
  /** What it has to wait for before it starts; absent: nothing. */
  limits?: RunLimits;
  /** JSON text of the fields that it begins with in the middle; null: it begins at its entries. */
  start?: string | null;
}

/** Where a page of runs by age ends. */
export interface RunCursor {
  createdAtMs: number;
  id: string;
}

/** Before the oldest run. */
export const FIRST_RUN: RunCursor = { createdAtMs: 0, id: "" };

export interface RunRow extends Omit<NewRun, "limits" | "blobs" | "isByReference"> {
  status: RunStatus;
  /** Accepted, and not started before its limits let it. */
  held: boolean;
  bindings: string | null;
  compensates: string | null;
  start: string | null;
  /** What its nodes say of it; null: nothing. */
  businessStatus: string | null;
  /** It stands still until it is repaired. */
  suspect: boolean;
  /** How many runs stand above it. */
  depth: number;
  parentRunId: string | null;
  /** Id of the node that waits for it. */
  parentNode: string | null;
  /** The token that waits for it, as field `up` of the hot hash. */
  parent: string | null;
  /** JSON text, null while there is none. */
  output: string | null;
  error: string | null;
  epoch: number;
  attempt: number;
  startedAtMs: number | null;
  endedAtMs: number | null;
  updatedAtMs: number;
  /** Redis time, ms: not in Redis since then, because it waits; null: it is not asleep. */
  asleepSinceMs: number | null;
  /** Record of the journal that tells of its sleep. */
  sleepSeq: number | null;
  /** Why one that is asleep is paused, as field `ps` of its hash: "" it is not. */
  sleepCauses: string | null;
  /** When its earliest timer is due; null: it has none; 0: somebody has asked for it to be woken. */
  wakesAtMs: number | null;
}

/** What the journal says about a run's row. */
export interface RunChange {
  id: string;
  /** Null: it stays. */
  status: RunStatus | null;
  startedAtMs: number | null;
  endedAtMs: number | null;
  output: string | null;
  error: string | null;
  /** Null: it has none any more; absent: it stays. */
  businessStatus?: string | null;
  atMs: number;
}

type Row = RunRow & { [column: string]: unknown };
/** Columns of a `RunRow`. */
export const RUN_COLUMNS = `id, tenant, workflow, version, ir_hash AS "irHash", partition,
  namespace, priority, status, input, output, error, idempotency_key AS "idempotencyKey",
  request_hash AS "requestHash", epoch, attempt, created_at_ms AS "createdAtMs",
  started_at_ms AS "startedAtMs", ended_at_ms AS "endedAtMs", updated_at_ms AS "updatedAtMs",
  bindings, compensates, depth, parent_run_id AS "parentRunId", parent_node AS "parentNode", parent,
  held, asleep_since_ms AS "asleepSinceMs", sleep_seq AS "sleepSeq",
  sleep_causes AS "sleepCauses",
  wakes_at_ms AS "wakesAtMs", start_fields AS "start",
  business_status AS "businessStatus", suspect`;
const FINAL = "('COMPLETED', 'FAILED', 'CANCELLED')";
const OPEN = "('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')";

const INSERT = {
  name: "runs_insert",
  text: `INSERT INTO runs (id, tenant, workflow, version, ir_hash, partition, namespace, priority,
      input, idempotency_key, request_hash, created_at_ms, bindings, compensates, held,
      start_fields, status, updated_at_ms)
    SELECT *, 'QUEUED', $12 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
      $6::integer[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $13::bigint[],
      $14::text[], $15::text[], $16::boolean[], $17::text[])
    ON CONFLICT DO NOTHING RETURNING id`,
};
const BY_ID = {
  name: "runs_by_id",
  text: `SELECT ${RUN_COLUMNS} FROM runs WHERE id = ANY($1::text[])`,
};
const BY_KEY = {
  name: "runs_by_key",
  text: `SELECT ${RUN_COLUMNS} FROM runs WHERE (tenant, idempotency_key) IN
    (SELECT * FROM unnest($1::text[], $2::text[]))`,
};
// COALESCE hides the column from statistics: "no unfinished run" as of their last look would have
// the planner begin with all of them.
const CHANGE = {
  name: "runs_change",
  text: `UPDATE runs r SET status = COALESCE(u.status, r.status),
      business_status = CASE WHEN u.business IS NULL THEN r.business_status
        ELSE NULLIF(u.business, '') END,
      output = COALESCE(u.output, r.output),
      error = COALESCE(u.error, r.error), started_at_ms = COALESCE(u.started, r.started_at_ms),
      ended_at_ms = COALESCE(u.ended, r.ended_at_ms), updated_at_ms = u.at,
      asleep_since_ms = CASE WHEN u.ended IS NULL THEN r.asleep_since_ms END
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
      $7::bigint[], $8::text[])
      AS u(id, status, started, ended, output, error, at, business)
    WHERE r.id = u.id AND COALESCE(r.status, '') NOT IN ${FINAL}`,
};
const ENDED_AMONG = {
  name: "runs_ended_among",
  text: `SELECT id, ended_at_ms AS "endedAtMs" FROM runs
    WHERE id = ANY($1::text[]) AND status IN ${FINAL}`,
};
const ENDED_OR_BEGUN = {
  name: "runs_ended_or_begun",
  text: `SELECT id, status, error, started_at_ms AS "startedAtMs", ended_at_ms AS "endedAtMs"
    FROM runs WHERE id = ANY($1::text[]) AND (status IN ${FINAL} OR started_at_ms IS NOT NULL)`,
};
const CANCEL = {
  name: "runs_cancel",
  text: `UPDATE runs SET status = 'CANCELLED', error = $2, ended_at_ms = $3, updated_at_ms = $3
    WHERE id = $1 AND status NOT IN ${FINAL} AND epoch = $4 AND asleep_since_ms IS NULL
    RETURNING id`,
};

/**
 * Inserts rows as QUEUED, and what they refer to; returns the ids that are new (id and idempotency
 * key not yet taken). With blobs it is several statements.
 */
export async function insertRuns(tx: Queryable, runs: readonly NewRun[]): Promise<Set<string>> {
  if (runs.length === 0) {
    return new Set();
  }
  // Sorted, so that two batches with the same keys wait for each other in the same order.
  const all = [...runs].sort(
    (a, b) =>
      compare(a.tenant, b.tenant) ||
      compare(a.idempotencyKey ?? "", b.idempotencyKey ?? "") ||
      compare(a.id, b.id),
  );
  const rows = await tx.query<{ id: string }>(INSERT, [
    textArray(all.map((r) => r.id)),
    textArray(all.map((r) => r.tenant)),
    textArray(all.map((r) => r.workflow)),
    textArray(all.map((r) => r.version)),
    textArray(all.map((r) => r.irHash)),
    integerArray(all.map((r) => r.partition)),
    textArray(all.map((r) => r.namespace)),
    textArray(all.map((r) => r.priority)),
    textArray(all.map((r) => r.input)),
    textArray(all.map((r) => r.idempotencyKey)),
    textArray(all.map((r) => r.requestHash)),
    Math.max(...all.map((r) => r.createdAtMs)),
    bigintArray(all.map((r) => r.createdAtMs)),
    textArray(all.map((r) => r.bindings ?? null)),
    textArray(all.map((r) => r.compensates ?? null)),
    all.map((r) => r.limits !== undefined),
    textArray(all.map((r) => r.start ?? null)),
  ]);
  const fresh = new Set(rows.map((row) => row.id));
  const large = all.filter(({ id, blobs }) => blobs !== undefined && fresh.has(id));
  if (large.length > 0) {
    await insertBlobsOf(tx, large);
  }
  return fresh;
}

/** By portions, in an order in which writers cannot deadlock. */
async function insertBlobsOf(tx: Queryable, runs: readonly NewRun[]): Promise<void> {
  const blobs = runs.flatMap(({ id: runId, blobs: own = [] }) =>
    own.map(({ sha256, text }) => ({ runId, sha256, text })),
  );
  blobs.sort((a, b) => compare(a.sha256, b.sha256));
  for (const part of portions(blobs, ({ text }) => text.length)) {
    await insertBlobs(tx, part);
  }
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Of these runs, those that have a terminal status, and since when. */
export function endedAmong(
  db: Queryable,
  ids: readonly string[],
): Promise<{ id: string; endedAtMs: number }[]> {
  return db.query<{ id: string; endedAtMs: number }>(ENDED_AMONG, [textArray(ids)]);
}

/** What is known of a run that had not begun. */
export interface EndOrBegin {
  id: string;
  status: RunStatus;
  /** JSON text. */
  error: string | null;
  /** Null: it has ended without. */
  startedAtMs: number | null;
  endedAtMs: number | null;
}

/** Those of these runs that have begun, or have ended without. */
export function endedOrBegun(db: Queryable, ids: readonly string[]): Promise<EndOrBegin[]> {
  return db.query<EndOrBegin & { [column: string]: unknown }>(ENDED_OR_BEGUN, [textArray(ids)]);
}

/** Rows with these ids, in no order. */
export async function runsById(db: Queryable, ids: readonly string[]): Promise<RunRow[]> {
  return ids.length === 0 ? [] : db.query<Row>(BY_ID, [textArray(ids)]);
}

/** Rows with these idempotency keys, in no order. */
export async function runsByKey(
  db: Queryable,
  keys: readonly { tenant: string; key: string }[],
): Promise<RunRow[]> {
  const values = [textArray(keys.map((k) => k.tenant)), textArray(keys.map((k) => k.key))];
  return keys.length === 0 ? [] : db.query<Row>(BY_KEY, values);
}

/** One row, null if there is none. */
export async function readRun(db: Queryable, id: string): Promise<RunRow | null> {
  return (await runsById(db, [id]))[0] ?? null;
}

/** Applies what the journal says; rows that have ended stay as they are. */
export async function changeRuns(tx: Queryable, changes: readonly RunChange[]): Promise<void> {
  for (const part of portions(changes, ({ output }) => output?.length ?? 0)) {
    await tx.query(CHANGE, [
      textArray(part.map((c) => c.id)),
      textArray(part.map((c) => c.status)),
      bigintArray(part.map((c) => c.startedAtMs)),
      bigintArray(part.map((c) => c.endedAtMs)),
      textArray(part.map((c) => c.output)),
      textArray(part.map((c) => c.error)),
      bigintArray(part.map((c) => c.atMs)),
      textArray(part.map((c) => (c.businessStatus === null ? "" : (c.businessStatus ?? null)))),
    ]);
  }
}

/**
 * Ends the row, as read before cancelRun said `gone`, of a run that is not in Redis. False: it has
 * ended, has fallen asleep or was woken meanwhile.
 */
export async function cancelRunRow(
  db: Queryable,
  row: Pick<RunRow, "id" | "epoch">,
  error: string,
  atMs: number,
): Promise<boolean> {
  return (await db.query(CANCEL, [row.id, error, atMs, row.epoch])).length === 1;
}

const MARK_SUSPECTS = {
  name: "runs_mark_suspects",
  text: "UPDATE runs SET suspect = $2 WHERE id = ANY($1::text[])",
};
const SUSPECTS = {
  name: "runs_suspects",
  text: "SELECT id FROM runs WHERE partition = $1 AND suspect AND id > $2 ORDER BY id LIMIT $3",
};

const ALL_SUSPECTS = {
  name: "runs_all_suspects",
  text: `SELECT ${RUN_COLUMNS} FROM runs WHERE suspect AND status IN ${OPEN}
    ORDER BY created_at_ms, id LIMIT $1`,
};

/** Unfinished runs of all partitions that are marked, oldest first. */
export async function listSuspects(db: Queryable, limit: number): Promise<RunRow[]> {
  return db.query<Row>(ALL_SUSPECTS, [limit]);
}

/** Marks runs in which a script failed half-way: they stand still until they are repaired. */
export async function markSuspects(tx: Queryable, ids: readonly string[]): Promise<void> {
  await (ids.length === 0 ? undefined : tx.query(MARK_SUSPECTS, [textArray(ids), true]));
}

/** Takes the mark off runs that are repaired. */
export async function clearSuspects(db: Queryable, ids: readonly string[]): Promise<void> {
  await (ids.length === 0 ? undefined : db.query(MARK_SUSPECTS, [textArray(ids), false]));
}

/** Ids of a partition's runs that are marked, after `afterId` ("" for the first page). */
export async function suspectRuns(
  db: Queryable,
  partition: number,
  afterId: string,
  limit: number,
): Promise<string[]> {
  const rows = await db.query<{ id: string }>(SUSPECTS, [partition, afterId, limit]);
  return rows.map((row) => row.id);
}

const RAISE_EPOCHS = {
  name: "runs_raise_epochs",
  text: `UPDATE runs SET epoch = epoch + 1, asleep_since_ms = NULL, sleep_seq = NULL,
      wakes_at_ms = NULL, sleep_causes = NULL
    WHERE id = ANY($1::text[])`,
};

/**
 * Raises the epoch of runs that are rebuilt: what workers hold of them from before is void. One that
 * became suspect while it fell asleep is awake from here on: if Redis is lost, it is rebuilt again.
 */
export async function raiseRunEpochs(db: Queryable, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) {
    await db.query(RAISE_EPOCHS, [textArray(ids)]);
  }
}
