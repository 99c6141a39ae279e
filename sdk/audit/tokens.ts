/** The tokens in flight of a run, and how a drift of one is named. Pure. */
import type { Ir, IrNode } from "../../compiler/ir.ts";
import { parseRecord, type TokenRecord } from "../entry.ts";
import { bodyAt } from "../unit.ts";
import type { Drift, DriftKind } from "./drift.ts";
import type { RunSnapshot } from "./snapshot.ts";
import { isScopeCurrent, isUnitAlive, type Hash } from "./units.ts";

const OPEN = new Set(["running", "paused"]);

/** One token in flight and where it is. */
export interface OpenToken {
  unit: string;
  hash: Hash;
  ir: Ir;
  index: number;
  node: IrNode;
  record: TokenRecord;
}

/** Every token in flight of a run, those of elements in flight included. */
export function openTokens(ir: Ir, units: ReadonlyMap<string, Hash>): OpenToken[] {
  return [...units].flatMap(([unit, hash]) => {
    const body = hash["by"] === undefined ? bodyAt(ir, hash["ir"] ?? "") : null;
    if (body === null || !OPEN.has(hash["s"] ?? "") || !isUnitAlive(units, unit)) {
      return [];
    }
    return Object.entries(hash).flatMap(([field, value]): OpenToken[] => {
      const index = /^n\d+$/.test(field) ? Number(field.slice(1)) : -1;
      const record = index < 0 ? null : parseRecord(value);
      const node = body.nodes[index];
      const isOpen = record !== null && "arwkmg".includes(record.state);
      return isOpen && node !== undefined && isScopeCurrent(hash, record.scope)
        ? [{ unit, hash, ir: body, index, node, record }]
        : [];
    });
  });
}

/** A drift of a token, which the rebuild of its run puts right. */
export function driftAt(
  { runId }: Pick<RunSnapshot, "runId">,
  token: OpenToken,
  kind: DriftKind,
  is: string,
  expected: string,
): Drift {
  const { unit, node, record } = token;
  const place = { runId, ...(unit === runId ? {} : { unit }), node: node.id, scope: record.scope };
  return { kind, ...place, is, expected, remedy: "rebuild" };
}
