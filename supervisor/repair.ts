/**
 * Repairs runs that a script has left half-written: frozen (status `suspect`: nothing is accepted any
 * more), with what was to happen in the journal.
 *
 * Each is put back from its journal as after a loss of Redis (rebuild-rows.ts), under a ticket in its
 * place: of two repairs of one run only the later one writes, and none after the run was taken up
 * otherwise. A mark in Postgres outlives whoever was at it, and goes when the run is whole again.
 */
import {
  beginRepair,
  isServerTrouble,
  isTerminal,
  partitionKeys,
  Profiles,
  seenOf,
  writeGuarded,
} from "../sdk/internal.ts";
import { clearSuspects, runsById, suspectRuns, type RunRow } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { putBackEnded } from "./ended-children.ts";
import { Superseded, writeWhile, type Write } from "./guarded.ts";
import { rebuildRows } from "./rebuild-rows.ts";
import { repairFailed } from "./repair-tries.ts";

const RUNS_BATCH = 200;

/**
 * Repairs runs in which a script failed half-way (21 A4); call this when what it wrote to the journal
 * is archived. Throws Superseded where somebody else is at one of them.
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
