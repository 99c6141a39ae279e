/** The units of a run - itself, the elements of its maps - as Redis and as the journal have them. */
import { isDeepStrictEqual } from "node:util";
import type { Ir } from "../../compiler/ir.ts";
import {
  aliveElements,
  bodyAt,
  foldedUnits,
  HotState,
  irAt,
  lineFields,
  linesOf,
  livingUnits,
  mapCountDrift,
  parseJournalRecord,
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
  await checkSignals(redis, keys.signals(runId), ir, hot);
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

/** Throws unless the signals that are kept, accepted and waited for are those of the journal. */
async function checkSignals(redis: Redis, key: string, ir: Ir, hot: HotState): Promise<void> {
  const isParked = (node: number, home: string, scope: string): boolean => {
    const unit = home === "" ? hot : hot.element(home);
    const token = unit?.tokens.get(node);
    return token?.state === "w" && token.scope === scope && unit?.isCurrent(scope) === true;
  };
  const told = hot.signals.fields((node, home, scope) => {
    const body = irAt(ir, home);
    return isParked(node, home, scope) ? (body?.nodes[node]?.id ?? "?") : null;
  });
  const signals = await redis.hgetall(key);
  const is = Object.fromEntries(
    Object.entries(signals).filter(([field]) => !/^(w:|v\d+:|u\d+\|)/.test(field)),
  );
  for (const [name, line] of linesOf(signals)) {
    // Those whose round is over stay in the line until another token takes their place.
    Object.assign(is, lineFields(name, waitersIn(ir, line, isParked)));
  }
  if (!isDeepStrictEqual(is, { ...told })) {
    const [have, wanted] = [is, told].map((hash) => JSON.stringify(hash));
    throw new Error(`the signals are ${have}, by the journal ${wanted}`);
  }
}

function waitersIn(
  ir: Ir,
  list: readonly string[],
  isParked: (node: number, home: string, scope: string) => boolean,
): string[] {
  return list.flatMap((line) => {
    const [node, home = "", scope = "", attempt] = line.split("|");
    const index = Number(node);
    const id = irAt(ir, home)?.nodes[index]?.id;
    return isParked(index, home, scope) ? [[node, home, scope, attempt, id].join("|")] : [];
  });
}
