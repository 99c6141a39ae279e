/**
 * A run as its journal has it, and the commands that put it so into Redis: after a loss
 * (rebuild-rows.ts), and when it is woken (waker.ts).
 */
import {
  commonQueueKey,
  GROUP,
  hasGap,
  HotState,
  hotFields,
  nodeStreams,
  partitionKeys,
  queueLimits,
  timerMember,
  type RunProfile,
} from "../sdk/internal.ts";
import type { ArchivedTransition, RunRow } from "../sdk/postgres/index.ts";
import { Emitter, type Writer } from "./emitter.ts";
import { rebuildMaps } from "./rebuild-maps.ts";

const FINISH_GRACE_MS = 10_000;

/** The hot state that a journal leads to. Throws RangeError if the journal has a gap. */
export function foldHot(profile: RunProfile, journal: readonly ArchivedTransition[]): HotState {
  return foldOn(new HotState(profile.ir, profile.planner), journal);
}

/** The same of a journal that is read page by page, of which no more is kept than the state. */
export async function foldPages(
  profile: RunProfile,
  pages: AsyncIterable<ArchivedTransition[]> | Iterable<ArchivedTransition[]>,
): Promise<HotState> {
  const state = new HotState(profile.ir, profile.planner);
  for await (const page of pages) {
    foldOn(state, page);
  }
  return state;
}

function foldOn(state: HotState, journal: readonly ArchivedTransition[]): HotState {
  if (hasGap(journal)) {
    throw new RangeError("its journal has a gap: a transition in it cannot be read");
  }
  journal.forEach(({ transition, t }) => state.apply(transition, t));
  return state;
}

/**
 * Writes the run as its state has it, under the epoch of `row`; everything but large outputs. `nowMs`
 * is its server's time (`redisTimeMs`): timers are armed by it.
 */
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
  const common = commonQueueKey(profile.queueKeys[0] as string);
  for (const queue of [...profile.queueKeys, ...profile.entryKeys, common]) {
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
    const member = timerMember({ kind: "finish", runId: row.id, epoch, queue: common });
    pipeline.zadd(keys.timers, nowMs - FINISH_GRACE_MS, member);
  }
}

/** A run's place in its tree. */
export function treeFields(row: RunRow): { [field: string]: string } {
  return {
    ...(row.bindings === null ? {} : { sub: row.bindings }),
    ...(row.depth === 0 ? {} : { dep: String(row.depth) }),
    ...(row.parent === null ? {} : { up: row.parent }),
  };
}
