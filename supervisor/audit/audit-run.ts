/**
 * Audits one run: Redis against its journal against its row (20 §9).
 *
 * The snapshot is of one moment, the fold goes exactly as far, and what is found counts when it is
 * still so at a second look: the row is read a moment later than the hash, and a run's release, its
 * redrive and its repair have steps.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { Ir } from "../../compiler/ir.ts";
import {
  auditRun,
  driftKey,
  isTerminal,
  partitionKeys,
  sameValue,
  shown,
  type Drift,
  type ForeignKey,
  type Hash,
  type RunStatus,
} from "../../sdk/internal.ts";
import {
  readCursor,
  readRun,
  runsById,
  type Database,
  type RunRow,
} from "../../sdk/postgres/index.ts";
import type { IrStore } from "../ir-store.ts";
import { treeFields } from "../write-run.ts";
import { Backlog } from "./backlog.ts";
import { foldUpTo } from "./journal.ts";
import { readSnapshot } from "./read-snapshot.ts";
import type { Snapshot } from "./snapshot-reader.ts";
import { StreamIndex } from "./streams.ts";

export interface AuditContext {
  redis: Redis;
  db: Database;
  irs: IrStore;
}

/** Between two looks at something that seems wrong. */
const SECOND_LOOK_MS = 400;
/** What depends on the order of entries in streams that were not read to their end. */
const NEEDS_STREAMS: ReadonlySet<Drift["kind"]> = new Set(["entry_missing", "entry_double"]);

/** What has been read of a partition: serves all the runs of it that one look audits. */
export interface Indexes {
  streams: StreamIndex;
  backlog: Backlog;
}

/** What is wrong with a run, seen twice. */
export async function findDrifts(
  context: AuditContext,
  partition: number,
  runId: string,
  given: Partial<Indexes> = {},
): Promise<Drift[]> {
  const { redis } = context;
  const { streams = new StreamIndex(redis), backlog = new Backlog(redis, partition) } = given;
  const indexes = { streams, backlog };
  const first = await lookOnce(context, partition, runId, indexes);
  if (first.length === 0) {
    return [];
  }
  await delay(SECOND_LOOK_MS);
  return stillDrifts(context, partition, runId, first, indexes);
}

/** Which of these are still wrong with a run, at one more look. */
export async function stillDrifts(
  context: AuditContext,
  partition: number,
  runId: string,
  before: readonly Drift[],
  indexes: Indexes,
): Promise<Drift[]> {
  const seen = new Set(before.map(driftKey));
  const now = await lookOnce(context, partition, runId, indexes);
  return now.filter((drift) => seen.has(driftKey(drift)));
}

async function lookOnce(
  context: AuditContext,
  partition: number,
  runId: string,
  { streams, backlog }: Indexes,
): Promise<Drift[]> {
  const { redis, db, irs } = context;
  const irOf = async (hash: string): Promise<Ir | null> =>
    (await irs.load([hash])).get(hash)?.ir ?? null;
  const snapshot = await readSnapshot(redis, partition, runId, irOf, streams);
  if (Array.isArray(snapshot)) {
    return foreignDrifts(context, runId, snapshot);
  }
  if (snapshot === "moving") {
    return []; // it moves too fast to be standing still or stuck
  }
  if (snapshot === null) {
    const row = await readRun(db, runId);
    const isSure = row !== null && (await isTold(context, partition, runId, backlog));
    return isSure ? missingDrift(context, row) : [];
  }
  const run = snapshot.units.get(runId) ?? {};
  const early = await readRun(db, runId);
  if (early === null && isFinal(run["s"])) {
    return endedUnknown(context, partition, snapshot);
  }
  const ir = await irOf(early?.irHash ?? run["ir"] ?? "");
  if (ir === null) {
    const is = `its workflow ${run["ir"] ?? "(none)"} is not stored`;
    return [{ kind: "run_unknown", runId, is, expected: "a definition", remedy: "rebuild" }];
  }
  if (run["s"] === "suspect") {
    return auditRun(ir, snapshot, null); // its journal may be what cannot be read
  }
  const fold = await foldUpTo({ db, backlog }, { partition, runId, seq: snapshot.seq }, ir);
  const row = await readRun(db, runId);
  if (run["s"] === "asleep" && isOnItsWay(row, fold?.isArchived === true)) {
    return [];
  }
  const drifts = rowDrifts(snapshot, row, fold?.isArchived === true);
  if (isTerminal(row?.status ?? "QUEUED") && isFinal(run["s"])) {
    return drifts; // what is left of a run that has ended waits for its release
  }
  const found = auditRun(ir, snapshot, isFinal(run["s"]) ? null : (fold?.hot ?? null));
  const sure = snapshot.isWhole ? found : found.filter(({ kind }) => !NEEDS_STREAMS.has(kind));
  return [...drifts, ...(await withoutSleepers(db, sure))];
}

/** Something else stands in place of keys of the run. */
async function foreignDrifts(
  { db }: AuditContext,
  runId: string,
  found: readonly ForeignKey[],
): Promise<Drift[]> {
  const row = await readRun(db, runId);
  // Of a run that is not under way nothing is to be written.
  const isUnderWay = row !== null && !isTerminal(row.status) && row.asleepSinceMs === null;
  const remedy = isUnderWay ? "rebuild" : "remove";
  return found.map(({ key, is, expected }): Drift => {
    return { kind: "key_foreign", runId, key, is: `a ${is}`, expected: `a ${expected}`, remedy };
  });
}

/** A child that is missing because it is asleep is where it should be. */
async function withoutSleepers(db: Database, drifts: readonly Drift[]): Promise<Drift[]> {
  const missing = drifts.filter(({ kind }) => kind === "child_missing");
  const rows = await runsById(
    db,
    missing.flatMap(({ member }) => member ?? []),
  );
  const asleep = new Set(rows.flatMap((row) => (row.asleepSinceMs === null ? [] : [row.id])));
  return drifts.filter(({ kind, member = "" }) => kind !== "child_missing" || !asleep.has(member));
}

/** Out of Redis, which its row may not say before all is archived, or back. */
function isOnItsWay(row: RunRow | null, isArchived: boolean): boolean {
  const isOpen = row === null || !isTerminal(row.status);
  return isOpen && (!isArchived || (row !== null && row.asleepSinceMs !== null));
}

function isFinal(status: string | undefined): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/**
 * Whether its row is all that is known of a run: Redis goes on from the archive, and tells nothing of it
 * behind that. After a restore both are otherwise for a while: what Redis has beyond the backup is about
 * to be archived, or to be void, and a run that has ended there is not lost.
 */
async function isTold(
  { db, redis }: AuditContext,
  partition: number,
  runId: string,
  backlog: Backlog,
): Promise<boolean> {
  const { meta } = partitionKeys(partition);
  const cursor = await readCursor(db, partition);
  const [epoch, seq] = await redis.hmget(meta, "epoch", "seq");
  if (cursor === null || Number(epoch) !== cursor.epoch || Number(seq) < cursor.seq) {
    return false;
  }
  return (await backlog.of(runId, cursor, Number(seq)))?.length === 0;
}

/** A run that is under way by its row, and not in Redis. */
async function missingDrift({ redis }: AuditContext, row: RunRow): Promise<Drift[]> {
  // One that is asleep should not be there.
  const isUnderWay =
    row.status !== "QUEUED" && !isTerminal(row.status) && row.asleepSinceMs === null;
  if (!isUnderWay || (await redis.exists(partitionKeys(row.partition).run(row.id))) === 1) {
    return []; // a queued row is started by the sweep
  }
  const is = `${row.status} in Postgres, not in Redis`;
  return [{ kind: "run_missing", runId: row.id, is, expected: "its hash", remedy: "rebuild" }];
}

/**
 * A run that has ended and has no row: nobody will ever release it. A child's row is written with its
 * start, so it is judged when that is archived.
 */
async function endedUnknown(
  { db }: AuditContext,
  partition: number,
  { runId, seq }: Snapshot,
): Promise<Drift[]> {
  const cursor = await readCursor(db, partition);
  if (cursor === null || cursor.seq < seq) {
    return [];
  }
  const is = "it has ended, and Postgres has no row of it";
  return [{ kind: "ended_unknown", runId, is, expected: "no keys", remedy: "remove" }];
}

/** What the row says otherwise than the hash; judged when everything up to the hash is archived. */
function rowDrifts(snapshot: Snapshot, row: RunRow | null, isArchived: boolean): Drift[] {
  const { runId, units, isListedRelease } = snapshot;
  const run = units.get(runId) ?? {};
  const hot = run["s"] ?? "absent";
  if (!isArchived) {
    return [];
  }
  if (row === null) {
    const is = "Postgres has no row of it, and its journal is archived";
    return [{ kind: "run_unknown", runId, is, expected: "a row", remedy: "remove" }];
  }
  const drifts: Drift[] = [];
  if (row.status !== (hot.toUpperCase() as RunStatus)) {
    const is = `${hot} in Redis`;
    const expected = `${row.status.toLowerCase()}, as in Postgres`;
    drifts.push({ kind: "status", runId, member: "row", is, expected, remedy: "rebuild" });
  } else if (isFinal(hot) && !isListedRelease) {
    const is = "it has ended, and is not on the list of what is released";
    drifts.push({ kind: "not_released", runId, is, expected: "it is", remedy: "release" });
  }
  if (run["e"] !== String(row.epoch)) {
    const is = `run epoch ${run["e"] ?? "absent"} in Redis`;
    const expected = `${row.epoch}, as in Postgres`;
    drifts.push({ kind: "epoch", runId, is, expected, remedy: "rebuild" });
  }
  return [...drifts, ...(isFinal(hot) ? [] : givenDrifts(runId, run, row))];
}

/** What the run was given when it was accepted: its input, its workflows, its place in its tree. */
function givenDrifts(runId: string, run: Hash, row: RunRow): Drift[] {
  const given: Hash = { in: row.input, ...treeFields(row) };
  return ["in", "sub", "dep", "up"].flatMap((field): Drift[] => {
    const [is, expected] = [run[field], given[field]];
    const at = { runId, member: `field ${field}`, is: shown(is), expected: shown(expected) };
    return sameValue(is, expected) ? [] : [{ kind: "field", ...at, remedy: "rebuild" }];
  });
}
