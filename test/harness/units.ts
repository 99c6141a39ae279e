/** The units of a run - itself, the elements of its maps - as Redis and as the journal have them. */
import { isDeepStrictEqual } from "node:util";
import type { Ir } from "../../compiler/ir.ts";
import {
  aliveElements,
  bodyAt,
  driftText,
  foldedStates,
  foldedUnits,
  HotState,
  livingUnits,
  mapCountDrift,
  openTokens,
  parseJournalRecord,
  signalDrifts,
  tokenTimerDrifts,
  type Hash,
  type JournalRecord,
  type PartitionKeys,
  type Redis,
} from "../../sdk/internal.ts";
import { assertCounter } from "./invariants.ts";

/** Hashes by name: the run, its maps, their elements. */
export async function readUnits(
  redis: Redis,
  keys: PartitionKeys,
  runId: string,
): Promise<Map<string, Hash>> {
  const units = new Map<string, Hash>();
  const read = async (name: string): Promise<Hash> => {
    const hash = await redis.hgetall(keys.run(name));
    if (Object.keys(hash).length > 0) {
      units.set(name, hash);
    }
    return hash;
  };
  await read(runId);
  for (const map of await redis.smembers(keys.maps(runId))) {
    const { next } = await read(map);
    for (let i = 0; i < Number(next ?? 0); i++) {
      await read(`${map}#${i}`);
    }
  }
  return units;
}

/** Throws unless every unit's counter is right and no map runs more elements than it may. */
export function assertUnits(root: Ir, units: ReadonlyMap<string, Hash>): void {
  for (const [name, hash] of units) {
    if (hash["by"] === undefined) {
      const ir = bodyAt(root, hash["ir"] ?? "");
      if (ir === null) {
        throw new Error(`${name} has no workflow: ${hash["ir"]}`);
      }
      assertCounter(ir, hash);
      continue;
    }
    const wrong = mapCountDrift(hash);
    if (wrong !== null) {
      throw new Error(`map ${name} is wrong: ${wrong}`);
    }
  }
}

/** The run's state as its journal tells it; `runId` where the journal has other runs, too. */
export function foldHot(ir: Ir, records: readonly JournalRecord[], runId?: string): HotState {
  const hot = new HotState(ir);
  for (const { transitions, t } of records) {
    const own = transitions.filter(({ r }) => runId === undefined || r === runId);
    own.forEach((one) => hot.apply(one, t));
  }
  return hot;
}

/**
 * Throws unless counters and windows are right and folding the journal gives every unit's state: for
 * after each step of a run.
 */
export async function checkUnits(
  { redis, keys }: { redis: Redis; keys: PartitionKeys },
  ir: Ir,
  runId: string,
): Promise<void> {
  const entries = await redis.xrange(keys.ev, "-", "+");
  const hot = foldHot(
    ir,
    entries.map(([id, fields]) => parseJournalRecord(id, fields)),
    runId,
  );
  const units = await readUnits(redis, keys, runId);
  assertUnits(ir, units);
  if (hot.status !== "running" && hot.status !== "paused") {
    return;
  }
  const signals = await redis.hgetall(keys.signals(runId));
  const timers = await timersOf(redis, keys);
  const states = foldedStates(runId, hot);
  const [wrong] = [
    ...signalDrifts({ runId, units, signals }, hot),
    ...openTokens(ir, units)
      .filter(({ record }) => "rwm".includes(record.state))
      .flatMap((token) => {
        const told = states.get(token.unit)?.tokens.get(token.index);
        return tokenTimerDrifts({ runId, units, timers, nowMs: 0 }, token, told);
      }),
  ];
  if (wrong !== undefined) {
    throw new Error(driftText(wrong));
  }
  const folded = foldedUnits(runId, hot);
  const living = livingUnits(folded.keys(), units);
  for (const [name, fields] of folded) {
    if (!isDeepStrictEqual(living.get(name), fields)) {
      const [is, told] = [living.get(name), fields].map((hash) => JSON.stringify(hash));
      throw new Error(`${name} is ${is}, by the journal ${told}`);
    }
  }
  const unknown = aliveElements(units).filter((element) => !folded.has(element));
  if (unknown.length > 0) {
    throw new Error(`unknown to the journal: ${unknown.join(", ")}`);
  }
}

/** Due times of all armed timers of a partition. */
async function timersOf(redis: Redis, keys: PartitionKeys): Promise<Map<string, number>> {
  const listed = await redis.zrange(keys.timers, 0, -1, "WITHSCORES");
  const timers = new Map<string, number>();
  for (let at = 0; at < listed.length; at += 2) {
    timers.set(listed[at] as string, Number(listed[at + 1]));
  }
  return timers;
}
