/** The units of a run - itself, the elements of its maps - as Redis and as the journal have them. */
import { isDeepStrictEqual } from "node:util";
import type { Ir } from "../../compiler/ir.ts";
import {
  bodyAt,
  elementPlace,
  HotState,
  hotFields,
  mapUnit,
  parseJournalRecord,
  parseRecord,
  unitFields,
  type JournalRecord,
  type PartitionKeys,
  type Redis,
} from "../../sdk/internal.ts";
import { assertCounter } from "./invariants.ts";

export type Hash = { [field: string]: string };

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
    const { n, next, done, failed } = hash;
    const ended = Object.keys(hash).filter((field) => /^[re]\d+$/.test(field)).length;
    const isRight =
      ended === Number(done) && Number(done) <= Number(next) && Number(next) <= Number(n);
    if (!isRight || Number(failed) > Number(hash["tolerated"]) + 1) {
      throw new Error(`map ${name} is wrong: ${JSON.stringify(hash)}`);
    }
  }
}

/** The run's state as its journal tells it. */
export function foldHot(ir: Ir, records: readonly JournalRecord[]): HotState {
  const hot = new HotState(ir);
  records.forEach((r) => r.transitions.forEach((t) => hot.apply(t, r.t)));
  return hot;
}

/** Tokens, joins, rounds, inputs and errors of a unit: what folding must give. */
export function essence(hash: Hash): Hash {
  const kept = Object.entries(hash).filter(([field]) => /^([njlime]\d+|nf|it|c|s)$/.test(field));
  return Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const MAP_FIELD = /^(got|n|next|done|failed|tolerated|[xre]\d+)$/;

/** Every unit that is alive, by name, as the fold has it; void ones are absent. */
export function foldedUnits(runId: string, state: HotState): Map<string, Hash> {
  const units = new Map<string, Hash>();
  const add = (name: string, unit: HotState): void => {
    const more = { epoch: 1, irHash: "", input: null, namespace: "", priority: "" };
    const fields = name === runId ? hotFields(unit, more) : unitFields(unit, 1, "");
    units.set(name, essence(fields));
    for (const [node, map] of unit.maps) {
      const token = unit.tokens.get(node);
      const isAlive = token?.scope === map.scope && "am".includes(token.state);
      if (isAlive && unit.isCurrent(map.scope) && unit.status === "running") {
        const within = mapUnit(name, map.scope, node);
        const own = Object.entries(map.fields()).filter(([field]) => MAP_FIELD.test(field));
        units.set(within, Object.fromEntries(own));
        map.elements.forEach((element, index) => add(`${within}#${index}`, element));
      }
    }
  };
  add(runId, state);
  return units;
}

/** The same units as Redis has them. */
export function livingUnits(
  names: Iterable<string>,
  units: ReadonlyMap<string, Hash>,
): Map<string, Hash> {
  const living = new Map<string, Hash>();
  for (const name of names) {
    const hash = units.get(name) ?? {};
    const own = Object.entries(hash).filter(([field]) => MAP_FIELD.test(field));
    living.set(name, hash["by"] === undefined ? essence(hash) : Object.fromEntries(own));
  }
  return living;
}

/** Elements in Redis whose maps wait for them: none may be missing in the fold. */
export function aliveElements(units: ReadonlyMap<string, Hash>): string[] {
  const isAlive = (unit: string): boolean => {
    const place = elementPlace(unit);
    if (place === null) {
      return true;
    }
    const parent = units.get(place.parent) ?? {};
    const record = parseRecord(parent[`n${place.node}`]);
    const rounds = place.scope === "" ? [] : place.scope.split("/");
    const isCurrent = rounds.every((round, i) => {
      return parent[`l${round.split(":")[0]}`] === rounds.slice(0, i + 1).join("/");
    });
    return (
      record?.state === "m" && record.scope === place.scope && isCurrent && isAlive(place.parent)
    );
  };
  return [...units.keys()].filter((name) => /#\d+$/.test(name) && isAlive(name));
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
  );
  const units = await readUnits(redis, keys, runId);
  assertUnits(ir, units);
  if (hot.status !== "running") {
    return;
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
