/** Comparing a run's hashes with what its journal folds to, field by field. Pure. */
import type { Ir } from "../../compiler/ir.ts";
import type { HotState } from "../hot-state.ts";
import { irAt, parseUnit } from "../unit.ts";
import type { Drift } from "./drift.ts";
import type { RunSnapshot } from "./snapshot.ts";
import { aliveElements, foldedUnits, livingUnits, type Hash } from "./units.ts";
import { sameValue, shown } from "./values.ts";

/** The drifts between the hashes and the fold; `hot` is the fold up to the snapshot. */
export function foldDrifts(ir: Ir, snapshot: RunSnapshot, hot: HotState): Drift[] {
  const { runId, units } = snapshot;
  const folded = foldedUnits(runId, hot);
  const living = livingUnits(folded.keys(), units);
  const drifts = [...folded].flatMap(([unit, expected]): Drift[] => {
    if (!units.has(unit)) {
      const kind = /#\d+$/.test(unit) ? "element_missing" : "map_missing";
      const is = "its hash is not in Redis";
      return [{ kind, runId, unit, is, expected: "a hash, by the journal", remedy: "rebuild" }];
    }
    return fieldDrifts(ir, runId, unit, living.get(unit) ?? {}, expected);
  });
  const unknown = aliveElements(units)
    .filter((unit) => !folded.has(unit))
    .map((unit): Drift => {
      const is = "an element is in flight";
      const expected = "none: the journal does not know it";
      return { kind: "element_unknown", runId, unit, is, expected, remedy: "rebuild" };
    });
  return [...drifts, ...unknown];
}

function fieldDrifts(ir: Ir, runId: string, unit: string, is: Hash, expected: Hash): Drift[] {
  const fields = new Set([...Object.keys(is), ...Object.keys(expected)]);
  const body = irAt(ir, parseUnit(unit).home);
  return [...fields].flatMap((field): Drift[] => {
    if (sameValue(is[field], expected[field])) {
      return [];
    }
    const node = /^[njlimea](\d+)$/.exec(field)?.[1];
    const id = node === undefined ? undefined : body?.nodes[Number(node)]?.id;
    const kind = field === "s" ? "status" : "field";
    return [
      {
        ...{ kind, runId, ...(unit === runId ? {} : { unit }) },
        ...(id === undefined ? {} : { node: id }),
        ...{ member: `field ${field}`, is: shown(is[field]), expected: shown(expected[field]) },
        remedy: "rebuild",
      },
    ];
  });
}
