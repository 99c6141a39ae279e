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
  seenOf,
  writeGuarded,
  type RunProfile,
} from "../sdk/internal.ts";
import {
  clearSuspects,
  FIRST_RUN,
  isValueFault,
  journalPages,
  journalSizes,
  markSuspects,
  portions,
  raiseRunEpochs,
  readJournals,
  runsById,
  suspectRuns,
  unfinishedRuns,
  type ArchivedTransition,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { boundHashes } from "./bindings.ts";
import { blobsIn, restoreBlobs } from "./blobs.ts";
import { scriptsOf, type Rollback, type SupervisorContext } from "./context.ts";
import { childrenAwaited, putBackEnded } from "./ended-children.ts";
import { publishIrs } from "./publish.ts";
import { Superseded, writeWhile, type Write } from "./guarded.ts";
import { releaseMapsOf } from "./release-maps.ts";
import { repairFailed } from "./repair-tries.ts";
import { foldPages, writeRun } from "./write-run.ts";
import { CommandList } from "./writer.ts";

const RUNS_BATCH = 200;
const RUNS_AT_ONCE = 50;
/** Bytes of journals that are held at one time; one that has more by itself is folded by pages. */
const JOURNALS_BYTES_MAX = 8 * 1024 * 1024;

/** Rebuilds the partition's unfinished runs; rows without a journal are left to intake's sweep. */
export async function rebuildRuns(rollback: Rollback, context: SupervisorContext): Promise<void> {
  const { partition } = rollback;
  const profiles = new Profiles();
  let after = FIRST_RUN;
  let count = 0;
  const left: string[] = [];
  for (;;) {
    const rows = await unfinishedRuns(context.db, partition, after, RUNS_BATCH);
    const last = rows.at(-1);
    if (last === undefined) {
      break;
    }
    after = last;
    const { rebuilt, failed, outdone } = await rebuildRows(context, partition, rows, {
      profiles,
      writeOf: () => rollback.write,
    });
    if (outdone.length > 0) {
      throw outdone[0] as Superseded;
    }
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
  const writes = await beginRepairs(context, partition, runIds);
  // After the tickets: what is older than another repair is not written.
  const rows = await runsById(context.db, runIds);
  const open = rows.filter((row) => !isTerminal(row.status) && writes.has(row.id));
  const ended = rows.filter((row) => isTerminal(row.status));
  await Promise.all(ended.map(({ id }) => removeFrozen(context, partition, id)));
  // A child's end was to wake its parent: what is left of it does so when it is released.
  await putBackEnded(
    context,
    partition,
    ended.map((row) => row.id),
  );
  const writeOf = (row: RunRow): Write => writes.get(row.id) as Write;
  const how = { profiles: new Profiles(), writeOf };
  const { rebuilt, failed, outdone } = await rebuildRows(context, partition, open, how);
  for (const row of open.filter(({ id }) => failed.has(id))) {
    try {
      await repairFailed(context, row, failed.get(row.id), writeOf(row));
    } catch (error) {
      void (error instanceof Superseded ? outdone.push(error) : raise(error));
    }
  }
  if (outdone.length > 0) {
    throw outdone[0] as Superseded; // theirs are the marks in Postgres, too
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
  const { status } = await seenOf(scriptsOf(context, partition), id);
  if (status !== "suspect" && status !== "") {
    await clearSuspects(context.db, [id]); // it was repaired, but not marked so
    return;
  }
  try {
    await repairRuns(context, partition, [id]);
  } catch (error) {
    if (isServerTrouble(error) || error instanceof Superseded) {
      throw error; // the same of every other
    }
    // It stays frozen and marked; the archive goes on.
    context.logger.error({ err: error, partition, run: id }, "a run cannot be repaired");
  }
}

/** Leaves a ticket in the place of each that is frozen; how to write it while that is there, by id. */
async function beginRepairs(
  context: SupervisorContext,
  partition: number,
  runIds: readonly string[],
): Promise<Map<string, Write>> {
  const rows = await runsById(context.db, runIds);
  const present = await areThere(context, partition, rows);
  const scripts = scriptsOf(context, partition);
  const writes = new Map<string, Write>();
  for (const [i, row] of rows.entries()) {
    // One that is asleep and not here has nothing to repair.
    const isThere = row.asleepSinceMs === null || present[i] === true;
    const guard = !isTerminal(row.status) && isThere ? await beginRepair(scripts, row.id) : null;
    if (guard !== null) {
      writes.set(row.id, writeWhile(scripts.redis, guard));
    }
  }
  return writes;
}

/** What a run that has ended has left here frozen; not if it was redriven, and goes on. */
async function removeFrozen(
  context: SupervisorContext,
  partition: number,
  id: string,
): Promise<void> {
  const scripts = scriptsOf(context, partition);
  const { keys } = scripts;
  const key = keys.run(id);
  const { status: value } = await seenOf(scripts, id);
  if (value === "suspect" || value === "") {
    await (value === "" && beginRepair(scripts, id)); // removes what else stands in its place
    const gone = [["UNLINK", key, keys.signals(id)]];
    await writeGuarded(scripts.redis, gone, { key, field: "s", value });
  }
}

function raise(error: unknown): never {
  throw error;
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
  /** Of runs that somebody else puts back meanwhile. */
  outdone: Superseded[];
}

interface Manner {
  profiles: Profiles;
  /** How what is of this run is written. */
  writeOf: (row: RunRow) => Write;
}

async function rebuildRows(
  context: SupervisorContext,
  partition: number,
  rows: readonly RunRow[],
  { profiles, writeOf }: Manner,
): Promise<Rebuilt> {
  const failed: Rebuilt["failed"] = new Map();
  const outdone: Superseded[] = [];
  let rebuilt = 0;
  const fail = (run: string, error: unknown): void => {
    failed.set(run, error);
    const message =
      "a run cannot be put back from its journal: it stands still, and is tried again";
    context.logger.error({ err: error, partition, run }, message);
  };
  const sizes = await journalSizes(
    context.db,
    rows.map(({ id }) => id),
  );
  const bound = new Set(rows.flatMap((row) => boundHashes(row.bindings)));
  const hashes = new Set([...rows.map((row) => row.irHash), ...bound]);
  const irs = await readable([...hashes], (some) => context.irs.load(some));
  const started = rows.filter(({ id }) => sizes.has(id));
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
  const one = async (row: RunRow, pages: Pages): Promise<void> => {
    const { ir } = irs.get(row.irHash) as { ir: Ir };
    const place = { partition, namespace: row.namespace, priority: row.priority };
    const profile = profiles.add(ir, row.irHash, place);
    try {
      await rebuildRun(context, profile, row, { pages, nowMs, write: writeOf(row) });
      rebuilt += 1;
    } catch (error) {
      if (error instanceof Superseded) {
        outdone.push(error);
      } else if (isValueFault(error)) {
        fail(row.id, error);
      } else {
        throw error;
      }
    }
  };
  const bytesOf = ({ id }: RunRow): number => sizes.get(id) ?? 0;
  for (const part of portions(known, bytesOf, JOURNALS_BYTES_MAX)) {
    const [first] = part;
    if (first !== undefined && bytesOf(first) > JOURNALS_BYTES_MAX) {
      await one(first, journalPages(context.db, first.id));
      continue;
    }
    const ids = part.map(({ id }) => id);
    const journals = await readable(ids, (some) => readJournals(context.db, some), fail);
    const read = part.filter(({ id }) => journals.has(id));
    // They touch nothing of one another, and most of each is waiting for an answer.
    for (let from = 0; from < read.length; from += RUNS_AT_ONCE) {
      const some = read.slice(from, from + RUNS_AT_ONCE);
      await Promise.all(some.map((row) => one(row, [journals.get(row.id) ?? []])));
    }
  }
  return { rebuilt, failed, outdone };
}

type Pages = AsyncIterable<ArchivedTransition[]> | Iterable<ArchivedTransition[]>;

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
  { pages, nowMs, write }: { pages: Pages; nowMs: number; write: Write },
): Promise<void> {
  const { partition } = profile;
  let hasBlobs = isBlobText(row.input);
  const state = await foldPages(
    profile,
    seen(pages, (page) => {
      hasBlobs ||= page.some(({ transition }) => blobsIn(transition).length > 0);
    }),
  );
  if (hasBlobs) {
    await restoreBlobs(context.db, write, partition, row.id);
  }
  const children = childrenAwaited(state);
  if (children.length > 0) {
    await putBackEnded(context, partition, children, write);
  }
  const keys = partitionKeys(partition);
  await releaseMapsOf(connectionAt(context.redis, keys.meta), keys, [row.id], write);
  const list = new CommandList();
  writeRun(list, profile, { ...row, epoch: row.epoch + 1 }, state, nowMs);
  await write(list.commands);
}

async function* seen(
  pages: Pages,
  see: (page: ArchivedTransition[]) => void,
): AsyncGenerator<ArchivedTransition[]> {
  for await (const page of pages) {
    see(page);
    yield page;
  }
}
