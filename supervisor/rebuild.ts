/**
 * Puts the unfinished runs of a partition back after Redis was lost or rolled back (20 §8).
 *
 * Completed tokens keep their outputs, joins their arrivals, loops their rounds, waits their due
 * times; tokens that were in flight are emitted again. A completed node is not executed again, unless
 * its completion had not reached Postgres; whatever a worker still holds from before is refused by the
 * epoch. Plain commands: no script accepts anything before this returns.
 *
 * A run that cannot be put back must not keep its partition from being certified: it is left out,
 * logged and marked as suspect, and the sweep over those tries it again (repair.ts), until it ends
 * (repair-tries.ts).
 */
import { Profiles } from "../sdk/internal.ts";
import { FIRST_RUN, markSuspects, unfinishedRuns } from "../sdk/postgres/index.ts";
import type { Rollback, SupervisorContext } from "./context.ts";
import type { Superseded } from "./guarded.ts";
import { rebuildRows } from "./rebuild-rows.ts";

const RUNS_BATCH = 200;

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
