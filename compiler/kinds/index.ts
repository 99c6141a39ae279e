/** All node kinds by type. */
import type { NodeType } from "../ir.ts";
import { FLOW_KINDS } from "./flow.ts";
import { DATA_KINDS } from "./data.ts";
import type { Kind } from "./kind.ts";
import { NESTED_KINDS } from "./nested.ts";
import { PARKED_KINDS } from "./parked.ts";
import { WORK_KINDS } from "./work.ts";

export const KINDS: readonly Kind[] = [
  ...[...WORK_KINDS, ...DATA_KINDS, ...FLOW_KINDS],
  ...[...NESTED_KINDS, ...PARKED_KINDS],
];

const BY_TYPE = new Map<NodeType, Kind>(KINDS.map((kind) => [kind.type, kind]));

/** The kind of a type. */
export function kindOf(type: NodeType): Kind {
  const kind = BY_TYPE.get(type);
  if (!kind) throw new Error(`no kind is registered for the node type ${type}`);
  return kind;
}
