/**
 * Puts the unfinished runs of a partition back after Redis was lost or rolled back (20 §8).
 *
 * Each run's archived journal is folded into the hot state that Redis had, under the next run epoch:
 * completed tokens keep their outputs, joins their arrivals, loops their rounds, waits their due
 * times. Tokens that were in flight are emitted again. A completed node is not executed again,
 * unless its completion had not reached Postgres; whatever a worker still holds from before is
 * refused by the epoch. Plain commands: no script accepts anything before this returns.
 */
import type { Ir } from "../compiler/ir.ts";
import {
  connectionAt,
  globalKeys,
  GROUP,
  HotState,
  hotFields,
  isTerminal,
  nodeStreams,
  queueLimits,
  Profiles,
  timerMember,
  partitionKeys,
  type RunProfile,
} from "../sdk/internal.ts";
import {
  clearSuspects,
  isValueFault,
  raiseRunEpochs,
  readJournals,
  runsById,
  suspectRuns,
  unfinishedRuns,
  type ArchivedTransition,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { blobOf, restoreBlobs } from "./blobs.ts";
import type { Rollback, SupervisorContext } from "./context.ts";
import { childrenAwaited, putBackEnded } from "./ended-children.ts";
import { Emitter, type Writer } from "./emitter.ts";
import { rebuildMaps } from "./rebuild-maps.ts";
import { releaseMapsOf } from "./release-maps.ts";
import { boundHashes } from "./starter.ts";

const RUNS_BATCH = 200;
const RUNS_AT_ONCE = 50;
const FINISH_GRACE_MS = 10_000;

/** Rebuilds the partition's unfinished runs; rows without a journal are left to intake's sweep. */
export async function rebuildRuns(rollback: Rollback, context: SupervisorContext): Promise<void> {
  const { partition } = rollback;
  const profiles = new Profiles();
  let after = "";
  let count = 0;
  for (;;) {
    const rows = await unfinishedRuns(context.db, partition, after, RUNS_BATCH);
    const last = rows.at(-1);
    if (last === undefined) {
      break;
    }
    after = last.id;
    count += await rebuildRows(context, partition, rows, profiles);
  }
  context.logger.warn({ partition, runs: count }, "unfinished runs put back from the journal");
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
  // One that is asleep and not here has nothing to repair.
  const open = rows.filter(
    (row, i) => !isTerminal(row.status) && (row.asleepSinceMs === null || present[i] === true),
  );
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
  const count = await rebuildRows(context, partition, open, new Profiles());
  await clearSuspects(context.db, runIds);
  context.logger.warn({ partition, runs: count }, "runs repaired from the journal");
}

/**
 * Repairs what is marked as suspect in Postgres: runs whose repair was cut off, by the death of
 * whoever was at it or by Redis being away. Only for the one who archives the partition, and not
 * while it archives: a repair must not race with another one of the same run.
 */
export async function repairSuspects(context: SupervisorContext, partition: number): Promise<void> {
  const ids = await suspectRuns(context.db, partition, RUNS_BATCH);
  const keys = partitionKeys(partition);
  for (const id of ids) {
    const status = await context.redis.hget(keys.run(id), "s");
    if (status !== "suspect" && status !== null) {
      await clearSuspects(context.db, [id]); // it was repaired, but not marked so
      continue;
    }
    try {
      await repairRuns(context, partition, [id]);
    } catch (error) {
      if (!isValueFault(error)) {
        throw error;
      }
      // It stays frozen and marked; the archive goes on.
      context.logger.error({ err: error, partition, run: id }, "a run cannot be repaired");
    }
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

async function rebuildRows(
  context: SupervisorContext,
  partition: number,
  rows: readonly RunRow[],
  profiles: Profiles,
): Promise<number> {
  const ids = rows.map((row) => row.id);
  const journals = await readJournals(context.db, ids);
  const bound = new Set(rows.flatMap((row) => boundHashes(row.bindings)));
  const irs = await context.irs.load([...rows.map((row) => row.irHash), ...bound]);
  for (const { hash, text } of [...bound].flatMap((hash) => irs.get(hash) ?? [])) {
    await context.redis.set(globalKeys.ir(hash), text);
  }
  const started = rows.filter((row) => (journals.get(row.id)?.length ?? 0) > 0);
  await raiseRunEpochs(
    context.db,
    started.map((row) => row.id),
  );
  const known = started.filter((row) => irs.has(row.irHash));
  for (const hash of new Set(known.map((row) => row.irHash))) {
    await context.redis.set(globalKeys.ir(hash), irs.get(hash)?.text ?? "");
  }
  const one = async (row: RunRow): Promise<void> => {
    const { ir } = irs.get(row.irHash) as { ir: Ir };
    const place = { partition, namespace: row.namespace, priority: row.priority };
    const profile = profiles.add(ir, row.irHash, place);
    const journal = journals.get(row.id) ?? [];
    if (journal.some(({ transition }) => blobOf(transition) !== null)) {
      await restoreBlobs(context, partition, row.id);
    }
    await rebuildRun(context, profile, row, journal);
  };
  // They touch nothing of one another, and most of each is waiting for an answer.
  for (let from = 0; from < known.length; from += RUNS_AT_ONCE) {
    await Promise.all(known.slice(from, from + RUNS_AT_ONCE).map(one));
  }
  return known.length;
}

async function rebuildRun(
  context: SupervisorContext,
  profile: RunProfile,
  row: RunRow,
  journal: readonly ArchivedTransition[],
): Promise<void> {
  const state = foldHot(profile, journal);
  const children = childrenAwaited(state);
  if (children.length > 0) {
    await putBackEnded(context, profile.partition, children);
  }
  const keys = partitionKeys(profile.partition);
  const redis = connectionAt(context.redis, keys.meta);
  await releaseMapsOf(redis, keys, [row.id]);
  const multi = redis.multi();
  writeRun(multi, profile, { ...row, epoch: row.epoch + 1 }, state, context.clock.nowMs());
  assertWritten(await multi.exec());
}

/** The hot state that a journal leads to. */
export function foldHot(profile: RunProfile, journal: readonly ArchivedTransition[]): HotState {
  const state = new HotState(profile.ir, profile.planner);
  journal.forEach(({ transition, t }) => state.apply(transition, t));
  return state;
}

/** Throws the first error among the answers to what `writeRun` has written. */
export function assertWritten(replies: readonly [Error | null, unknown][] | null): void {
  for (const [error] of replies ?? []) {
    if (error !== null && !error.message.startsWith("BUSYGROUP")) {
      throw error;
    }
  }
}

/** Writes the run as its state has it, under the epoch of `row`; everything but large outputs. */
export function writeRun(
  pipeline: Writer,
  profile: RunProfile,
  row: RunRow,
  state: HotState,
  nowMs: number,
): void {
  const { epoch } = row;
  const keys = partitionKeys(profile.partition);
  const { namespace, priority, irHash } = row;
  const input = JSON.parse(row.input) as never;
  const fields = hotFields(state, { epoch, irHash, input, namespace, priority });
  Object.assign(fields, treeFields(row), row.attempt > 1 ? { at: String(row.attempt) } : {});
  const emit = new Emitter(pipeline, keys, profile, row.id, String(epoch));
  emit.nowMs = nowMs;
  for (const queue of [...profile.queueKeys, ...profile.entryKeys]) {
    pipeline.xgroup("CREATE", queue, GROUP, "0", "MKSTREAM"); // BUSYGROUP where it is there
  }
  const limits = queueLimits(profile.ir);
  if (limits !== "") {
    fields["qt"] = limits;
  }
  pipeline.del(keys.run(row.id), keys.signals(row.id), keys.held(row.id));
  if (state.status === "paused") {
    pipeline.zadd(keys.paused, nowMs, row.id);
    emit.held = keys.held(row.id);
  }
  emit.unit(state, fields);
  rebuildMaps(pipeline, emit, state);
  pipeline.hset(keys.run(row.id), fields);
  const signals = state.signals.fields((node, home, scope) => {
    const unit = home === "" ? state : state.element(home);
    if (unit?.tokens.get(node)?.state !== "w" || !unit.isCurrent(scope)) {
      return null;
    }
    const place = { partition: profile.partition, namespace, priority };
    return nodeStreams(unit.ir, place).queueKeys[unit.ir.nodes[node]?.queue ?? 0] ?? null;
  });
  if (Object.keys(signals).length > 0) {
    pipeline.hset(keys.signals(row.id), signals);
  }
  const timeoutMs = profile.ir.settings.timeout_ms;
  if (timeoutMs !== null) {
    const member = timerMember({ kind: "run", runId: row.id, epoch });
    pipeline.zadd(keys.timers, state.startedMs + timeoutMs, member);
  }
  if (state.status === "finishing") {
    const queue = profile.queueKeys[0] as string;
    const member = timerMember({ kind: "finish", runId: row.id, epoch, queue });
    pipeline.zadd(keys.timers, nowMs - FINISH_GRACE_MS, member);
  }
}

/** A run's place in its tree. */
function treeFields(row: RunRow): { [field: string]: string } {
  return {
    ...(row.bindings === null ? {} : { sub: row.bindings }),
    ...(row.depth === 0 ? {} : { dep: String(row.depth) }),
    ...(row.parent === null ? {} : { up: row.parent }),
  };
}
