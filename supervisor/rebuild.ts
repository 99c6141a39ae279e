/**
 * Puts the unfinished runs of a partition back after Redis was lost or rolled back (20 §8).
 *
 * Each run's archived journal is folded into the hot state that Redis had, under the next run epoch:
 * completed tokens keep their outputs, joins their arrivals, loops their rounds, waits their due
 * times. Tokens that were in flight are emitted again. A completed node is not executed again,
 * unless its completion had not reached Postgres; whatever a worker still holds from before is
 * refused by the epoch. Plain commands: no script accepts anything before this returns.
 *
 * A run that cannot be put back must not keep its partition from being certified: it is left out,
 * logged and marked as suspect, and the sweep over those tries it again, until it ends
 * (repair-tries.ts).
 */
import type { Ir } from "../compiler/ir.ts";
import {
  beginRepair,
  connectionAt,
  isBlobText,
  isServerTrouble,
  isTerminal,
  Profiles,
  partitionKeys,
  redisTimeMs,
  writeAnyway,
  type RunProfile,
} from "../sdk/internal.ts";
import {
  clearSuspects,
  isValueFault,
  markSuspects,
  raiseRunEpochs,
  readJournals,
  runsById,
  suspectRuns,
  unfinishedRuns,
  type ArchivedTransition,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { blobsIn, restoreBlobs } from "./blobs.ts";
import { scriptsOf, type Rollback, type SupervisorContext } from "./context.ts";
import { childrenAwaited, putBackEnded } from "./ended-children.ts";
import { publishIrs } from "./publish.ts";
import { releaseMapsOf } from "./release-maps.ts";
import { repairFailed } from "./repair-tries.ts";
import { boundHashes } from "./starter.ts";
import { foldHot, writeRun } from "./write-run.ts";
import { CommandList } from "./writer.ts";

const RUNS_BATCH = 200;
const RUNS_AT_ONCE = 50;

/** Rebuilds the partition's unfinished runs; rows without a journal are left to intake's sweep. */
export async function rebuildRuns(rollback: Rollback, context: SupervisorContext): Promise<void> {
  const { partition } = rollback;
  const profiles = new Profiles();
  let after = "";
  let count = 0;
  const left: string[] = [];
  for (;;) {
    const rows = await unfinishedRuns(context.db, partition, after, RUNS_BATCH);
    const last = rows.at(-1);
    if (last === undefined) {
      break;
    }
    after = last.id;
    const { rebuilt, failed } = await rebuildRows(context, partition, rows, profiles);
    await markSuspects(context.db, [...failed.keys()]);
    count += rebuilt;
    left.push(...failed.keys());
  }
  context.logger.warn(
    { partition, runs: count, left },
    "unfinished runs put back from the journal",
  );
}

/**
 * Repairs runs in which a script failed half-way (21 A4). The script has frozen them (status
 * `suspect`: nothing is accepted any more) after writing to the journal what was to happen; call
 * this when that is archived.
 */
export async function repairRuns(
  context: SupervisorContext,
  partition: number,
  runIds: readonly string[],
): Promise<void> {
  const rows = await runsById(context.db, runIds);
  const present = await areThere(context, partition, rows);
  const scripts = scriptsOf(context, partition);
  // One that is asleep and not here has nothing to repair.
  const open: RunRow[] = [];
  for (const [i, row] of rows.entries()) {
    const isThere = row.asleepSinceMs === null || present[i] === true;
    if (!isTerminal(row.status) && isThere && (await beginRepair(scripts, row.id))) {
      open.push(row);
    }
  }
  const ended = rows.filter((row) => isTerminal(row.status));
  const keys = partitionKeys(partition);
  const gone = ended.flatMap((row) => [keys.run(row.id), keys.signals(row.id)]);
  await Promise.all(gone.map((key) => context.redis.unlink(key)));
  // A child's end was to wake its parent: what is left of it does so when it is released.
  await putBackEnded(
    context,
    partition,
    ended.map((row) => row.id),
  );
  const { rebuilt, failed } = await rebuildRows(context, partition, open, new Profiles());
  for (const row of open.filter(({ id }) => failed.has(id))) {
    await repairFailed(context, row, failed.get(row.id));
  }
  await clearSuspects(
    context.db,
    runIds.filter((id) => !failed.has(id)),
  );
  const left = [...failed.keys()];
  context.logger.warn({ partition, runs: rebuilt, left }, "runs repaired from the journal");
}

/**
 * Repairs what is marked as suspect in Postgres: runs whose repair was cut off, by the death of
 * whoever was at it or by Redis being away. Only for the one who archives the partition, and not
 * while it archives: a repair must not race with another one of the same run.
 */
export async function repairSuspects(context: SupervisorContext, partition: number): Promise<void> {
  let after = "";
  for (;;) {
    const ids = await suspectRuns(context.db, partition, after, RUNS_BATCH);
    const last = ids.at(-1);
    if (last === undefined) {
      return;
    }
    after = last;
    for (const id of ids) {
      await repairSuspect(context, partition, id);
    }
  }
}

async function repairSuspect(
  context: SupervisorContext,
  partition: number,
  id: string,
): Promise<void> {
  const status = await context.redis.hget(partitionKeys(partition).run(id), "s");
  if (status !== "suspect" && status !== null) {
    await clearSuspects(context.db, [id]); // it was repaired, but not marked so
    return;
  }
  try {
    await repairRuns(context, partition, [id]);
  } catch (error) {
    if (isServerTrouble(error)) {
      throw error; // the same of every other
    }
    // It stays frozen and marked; the archive goes on.
    context.logger.error({ err: error, partition, run: id }, "a run cannot be repaired");
  }
}

/** Whether each of these runs has a hash. */
async function areThere(
  { redis }: SupervisorContext,
  partition: number,
  rows: readonly RunRow[],
): Promise<boolean[]> {
  const keys = partitionKeys(partition);
  const found = await Promise.all(rows.map(({ id }) => redis.exists(keys.run(id))));
  return found.map((count) => count === 1);
}

/** A run whose workflow nobody stored. */
export class NotStored extends Error {
  constructor(hash: string) {
    super(`its definition ${hash} is not stored`);
  }
}

interface Rebuilt {
  rebuilt: number;
  /** Why, by id: runs that cannot be put back as they are. */
  failed: Map<string, unknown>;
}

async function rebuildRows(
  context: SupervisorContext,
  partition: number,
  rows: readonly RunRow[],
  profiles: Profiles,
): Promise<Rebuilt> {
  const failed: Rebuilt["failed"] = new Map();
  let rebuilt = 0;
  const fail = (run: string, error: unknown): void => {
    failed.set(run, error);
    const message =
      "a run cannot be put back from its journal: it stands still, and is tried again";
    context.logger.error({ err: error, partition, run }, message);
  };
  const ids = rows.map((row) => row.id);
  const journals = await readable(ids, (some) => readJournals(context.db, some), fail);
  const bound = new Set(rows.flatMap((row) => boundHashes(row.bindings)));
  const hashes = new Set([...rows.map((row) => row.irHash), ...bound]);
  const irs = await readable([...hashes], (some) => context.irs.load(some));
  const started = rows.filter((row) => (journals.get(row.id)?.length ?? 0) > 0);
  const known = started.filter((row) => irs.has(row.irHash));
  for (const row of started.filter((one) => !irs.has(one.irHash))) {
    fail(row.id, new NotStored(row.irHash));
  }
  await publishIrs(context, irs.values());
  await raiseRunEpochs(
    context.db,
    known.map((row) => row.id),
  );
  const nowMs = await redisTimeMs(scriptsOf(context, partition));
  const one = async (row: RunRow): Promise<void> => {
    const { ir } = irs.get(row.irHash) as { ir: Ir };
    const place = { partition, namespace: row.namespace, priority: row.priority };
    const profile = profiles.add(ir, row.irHash, place);
    const journal = journals.get(row.id) ?? [];
    try {
      const isLarge = isBlobText(row.input);
      if (isLarge || journal.some(({ transition }) => blobsIn(transition).length > 0)) {
        await restoreBlobs(context, partition, row.id);
      }
      await rebuildRun(context, profile, row, { journal, nowMs });
      rebuilt += 1;
    } catch (error) {
      if (!isValueFault(error)) {
        throw error;
      }
      fail(row.id, error);
    }
  };
  // They touch nothing of one another, and most of each is waiting for an answer.
  for (let from = 0; from < known.length; from += RUNS_AT_ONCE) {
    await Promise.all(known.slice(from, from + RUNS_AT_ONCE).map(one));
  }
  return { rebuilt, failed };
}

/**
 * What is read by these names, all in one; if values of some make that fail, one by one, and `fail` is
 * told of those.
 */
async function readable<T>(
  names: readonly string[],
  read: (some: readonly string[]) => Promise<Map<string, T>>,
  fail?: (name: string, error: unknown) => void,
): Promise<Map<string, T>> {
  try {
    return await read(names);
  } catch (error) {
    if (!isValueFault(error)) {
      throw error;
    }
    if (names.length === 1) {
      fail?.(names[0] as string, error);
      return new Map();
    }
  }
  const found = new Map<string, T>();
  for (const name of names) {
    (await readable([name], read, fail)).forEach((one, key) => found.set(key, one));
  }
  return found;
}

async function rebuildRun(
  context: SupervisorContext,
  profile: RunProfile,
  row: RunRow,
  { journal, nowMs }: { journal: readonly ArchivedTransition[]; nowMs: number },
): Promise<void> {
  const state = foldHot(profile, journal);
  const children = childrenAwaited(state);
  if (children.length > 0) {
    await putBackEnded(context, profile.partition, children);
  }
  const keys = partitionKeys(profile.partition);
  const redis = connectionAt(context.redis, keys.meta);
  await releaseMapsOf(redis, keys, [row.id]);
  const list = new CommandList();
  writeRun(list, profile, { ...row, epoch: row.epoch + 1 }, state, nowMs);
  await writeAnyway(redis, list.commands);
}
