/**
 * The units of a run - itself, the elements of its maps - as Redis has them, and as the fold of the
 * journal says that they should be. What is compared is what folding must give (20 §9.4): tokens,
 * joins, rounds, inputs, errors, answers, counter, status. Pure; the tests use it after every step.
 */
import type { Ir } from "../../compiler/ir.ts";
import { parseRecord } from "../entry.ts";
import { hotFields, unitFields } from "../hot-fields.ts";
import type { HotState } from "../hot-state.ts";
import { elementPlace, mapUnit } from "../unit.ts";

export type Hash = { [field: string]: string };

/**
 * Tokens in flight at top level: active ones (ready, in execution, waiting, spreading a skip), live
 * arrivals at joins that are not decided, and one for every loop that is going round.
 */
export function tokensInFlight(ir: Ir, hash: Hash): number {
  let count = 0;
  for (const [field, value] of Object.entries(hash)) {
    const index = Number(field.slice(1));
    if (/^n\d+$/.test(field)) {
      const record = parseRecord(value);
      count += record?.scope === "" && "arwkmg".includes(record.state) ? 1 : 0;
    } else if (/^j\d+$/.test(field)) {
      const [scope, live] = value.split("|");
      count += scope === "" && Number(live) > 0 ? Number(live) : 0;
    } else if (/^l\d+$/.test(field)) {
      const loop = ir.loops[ir.nodes[index]?.latch_of ?? -1];
      count += loop?.parent === null && !value.startsWith("e") ? 1 : 0;
    }
  }
  return count;
}

/** Whether the rounds that a scope names are alive in this unit. */
export function isScopeCurrent(hash: Hash, scope: string): boolean {
  const rounds = scope === "" ? [] : scope.split("/");
  return rounds.every((round, i) => {
    return hash[`l${round.slice(0, round.indexOf(":"))}`] === rounds.slice(0, i + 1).join("/");
  });
}

/** Tokens, joins, rounds, inputs, errors and answers of a unit: what folding must give. */
export function essence(hash: Hash): Hash {
  const kept = Object.entries(hash).filter(([field]) => /^([njlimea]\d+|nf|it|c|s)$/.test(field));
  return Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const MAP_FIELD = /^(got|n|next|done|failed|tolerated|[xre]\d+)$/;

/** Of a map's hash: what folding must give. */
export function mapEssence(hash: Hash): Hash {
  return Object.fromEntries(Object.entries(hash).filter(([field]) => MAP_FIELD.test(field)));
}

/** Every unit that is alive, by name, as the fold has it; void ones are absent. */
export function foldedUnits(runId: string, state: HotState): Map<string, Hash> {
  const units = new Map<string, Hash>();
  const add = (name: string, unit: HotState): void => {
    const more = { epoch: 1, irHash: "", input: null, namespace: "", priority: "" };
    const fields = name === runId ? hotFields(unit, more) : unitFields(unit, "1", "");
    units.set(name, essence(fields));
    for (const [node, map] of unit.maps) {
      const token = unit.tokens.get(node);
      // Items of a map whose elements have not begun are nobody's: whoever expands it writes them anew,
      // and a run that was rebuilt or has slept comes back without them.
      const isAlive = token?.scope === map.scope && token.state === "m";
      const goesOn = unit.status === "running" || unit.status === "paused";
      if (isAlive && unit.isCurrent(map.scope) && goesOn) {
        const within = mapUnit(name, map.scope, node);
        units.set(within, mapEssence(map.fields()));
        map.elements.forEach((element, index) => add(`${within}#${index}`, element));
      }
    }
  };
  add(runId, state);
  return units;
}

/** The states of these units, by name: the run's own and those of its elements in flight. */
export function foldedStates(runId: string, state: HotState): Map<string, HotState> {
  const states = new Map([[runId, state]]);
  const visit = (name: string, unit: HotState): void => {
    for (const [node, map] of unit.maps) {
      map.elements.forEach((element, index) => {
        const own = `${mapUnit(name, map.scope, node)}#${index}`;
        states.set(own, element);
        visit(own, element);
      });
    }
  };
  visit(runId, state);
  return states;
}

/** The same units as Redis has them. */
export function livingUnits(
  names: Iterable<string>,
  units: ReadonlyMap<string, Hash>,
): Map<string, Hash> {
  const living = new Map<string, Hash>();
  for (const name of names) {
    const hash = units.get(name) ?? {};
    living.set(name, hash["by"] === undefined ? essence(hash) : mapEssence(hash));
  }
  return living;
}

/** Whether a unit's maps wait for it, all the way up to its run. */
export function isUnitAlive(units: ReadonlyMap<string, Hash>, unit: string): boolean {
  const place = elementPlace(unit);
  if (place === null) {
    return true;
  }
  const parent = units.get(place.parent) ?? {};
  const record = parseRecord(parent[`n${place.node}`]);
  return (
    record?.state === "m" &&
    record.scope === place.scope &&
    isScopeCurrent(parent, place.scope) &&
    isUnitAlive(units, place.parent)
  );
}

/** Elements in Redis whose maps wait for them: none may be missing in the fold. */
export function aliveElements(units: ReadonlyMap<string, Hash>): string[] {
  return [...units.keys()].filter((name) => /#\d+$/.test(name) && isUnitAlive(units, name));
}
