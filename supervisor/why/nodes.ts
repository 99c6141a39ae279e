/** Whether a workflow has the node that somebody asks about. */
import type { Ir } from "../../compiler/ir.ts";
import { nearestName } from "../../condition/suggest.ts";
import { GavotteError } from "../../sdk/errors.ts";

const NAMES_MAX = 20;

/** Throws GV_BAD_INPUT with the node that was probably meant, or with those that there are. */
export function assertNode(ir: Ir, id: string): void {
  const known = nodeIds(ir);
  if (!known.includes(id)) {
    const near = nearestName(id, known);
    const rest = known.length - NAMES_MAX;
    const more = rest > 0 ? ` and ${rest} more` : "";
    const hint =
      near === undefined
        ? `its nodes are ${known.slice(0, NAMES_MAX).join(", ")}${more}`
        : `did you mean ${near}?`;
    throw new GavotteError("GV_BAD_INPUT", `workflow ${ir.name} has no node "${id}"; ${hint}`);
  }
}

/** Those of its maps' bodies follow their map; those that the compiler has added are nobody's. */
function nodeIds(ir: Ir): string[] {
  const own = ir.nodes.filter(({ synthetic }) => synthetic !== true);
  return own.flatMap(({ id, body }) => [id, ...(body === undefined ? [] : nodeIds(body))]);
}
