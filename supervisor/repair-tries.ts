/**
 * Runs whose repair fails. A journal with a gap, a workflow that nobody stored: the next try fails as
 * well, and nothing would ever move the run. So failed tries are counted, and after the last one the
 * run ends as FAILED, like any other run that ends; `gavotte cancel` ends it after the first.
 *
 * The count is in the run's own hash, so it outlives supervisors; a run that is not in Redis gets one
 * that holds nothing else. While a try is under way the count is negative, and then nobody may end the
 * run (cancel_run): the repair would bring it back to life.
 */
import { failRun, partitionKeys } from "../sdk/internal.ts";
import type { RunRow } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import type { Write } from "./guarded.ts";
import { treeFields } from "./write-run.ts";
import { CommandList } from "./writer.ts";

/** With the archiver's look every half a minute: ten minutes. */
export const REPAIRS_MAX = 20;

/** What a hash says of failed tries. */
export interface RepairTries {
  count: number;
  /** Why the last one failed. */
  message: string;
}

/** Fields of a run's hash; null: no try has failed. */
export function repairTries(hash: { readonly [field: string]: string }): RepairTries | null {
  const { rp, rpe } = hash;
  const { repair = "" } = JSON.parse(rpe ?? "{}") as { repair?: string };
  return rpe === undefined ? null : { count: Math.abs(Number(rp)), message: repair };
}

/** The fields that say that a run could not be put back from its journal, for the n-th time. */
export function triedFields(
  row: RunRow,
  count: number,
  error: unknown,
): { [field: string]: string } {
  const repair = error instanceof Error ? error.message : String(error);
  const fields = { rp: String(count), rpe: JSON.stringify({ repair }) };
  return { e: String(row.epoch), ir: row.irHash, ...treeFields(row), ...fields };
}

/** A try has failed: the run may be ended now, and is after the last try. Throws Superseded. */
export async function repairFailed(
  context: SupervisorContext,
  row: RunRow,
  error: unknown,
  write: Write,
): Promise<void> {
  const { redis, logger } = context;
  const key = partitionKeys(row.partition).run(row.id);
  const [epoch, tries] = await redis.hmget(key, "e", "rp");
  const count = Math.max(1, Math.abs(Number(tries ?? 0)));
  const fields = triedFields(row, count, error);
  // What the run still has in Redis bears the epoch of its hash.
  const list = new CommandList();
  list.hset(key, { s: "suspect", ...fields, e: epoch ?? String(row.epoch) });
  await write(list.commands);
  if (count >= REPAIRS_MAX) {
    const why = error instanceof Error ? error.message : String(error);
    const message = `the run cannot be put back from its journal, after ${count} tries: ${why}`;
    const scripts = scriptsOf(context, row.partition);
    await failRun(scripts, row.id, { code: "NOT_REPAIRED", message });
    const facts = { err: error, partition: row.partition, run: row.id, tries: count };
    logger.error(facts, "a run that cannot be repaired has ended as FAILED");
  }
}
