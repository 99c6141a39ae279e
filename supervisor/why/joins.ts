/**
 * Joins that wait: which of their in-edges have brought nothing yet, and which tokens in flight can
 * still decide them. If none can, the run hangs: a valid workflow never does (20 §9.6). Pure.
 */
import type { Ir } from "../../compiler/ir.ts";
import { isScopeCurrent, type Hash, type OpenToken } from "../../sdk/internal.ts";

export interface MissingArrival {
  /** Id of the node that the edge comes from. */
  from: string;
  /** Ids of nodes with a token in flight from which that node can still be reached. */
  can: string[];
}

export interface WaitingJoin {
  node: string;
  scope: string;
  need: string;
  arrived: number;
  missing: MissingArrival[];
}

/** The joins of a unit that something has arrived at and that are not decided. */
export function waitingJoins(ir: Ir, hash: Hash, tokens: readonly OpenToken[]): WaitingJoin[] {
  return Object.entries(hash).flatMap(([field, value]): WaitingJoin[] => {
    const node = /^j\d+$/.test(field) ? ir.nodes[Number(field.slice(1))] : undefined;
    const [scope = "", live = "", decided = "", , arrivals = ""] = value.split("|");
    if (node === undefined || Number(live) < 0 || !isScopeCurrent(hash, scope)) {
      return [];
    }
    const missing = [...arrivals].flatMap((arrival, at): MissingArrival[] => {
      const from = ir.edges[node.in[at] ?? -1]?.from ?? -1;
      const can = tokens.filter((token) => reaches(ir, token.index, from));
      return arrival === "."
        ? [{ from: ir.nodes[from]?.id ?? "?", can: can.map((token) => token.node.id) }]
        : [];
    });
    const need = node.join.kind === "all" ? "all" : String(node.join.need);
    return [{ node: node.id, scope, need, arrived: Number(decided), missing }];
  });
}

/** Whether a token at `start` can come to `goal`, by the edges and by the rounds of loops. */
function reaches(ir: Ir, start: number, goal: number): boolean {
  const seen = new Set([start]);
  const stack = [start];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (at === goal) {
      return true;
    }
    const node = ir.nodes[at];
    const loop = node === undefined || node.latch_of === null ? undefined : ir.loops[node.latch_of];
    const next = (node?.out ?? []).map((edge) => ir.edges[edge]?.to ?? -1);
    for (const to of loop === undefined ? next : [...next, loop.head]) {
      if (!seen.has(to)) {
        seen.add(to);
        stack.push(to);
      }
    }
  }
  return false;
}

/** "2 of 3 in-edges are decided; missing: pay (can still come from: retry), ship (none can: …)" */
export function joinText({ need, arrived, missing }: WaitingJoin): string {
  const total = arrived + missing.length;
  const parts = missing.map(({ from, can }) => {
    const who = [...new Set(can)].filter((id) => id !== from).join(", ");
    const isAt = can.includes(from) ? "it is on its way" : `can still come by way of ${who}`;
    return `${from} (${can.length === 0 ? "no token in flight can bring it" : isAt})`;
  });
  const text = `join of ${need}: ${arrived} of ${total} in-edges are decided; missing: `;
  return text + parts.join(", ");
}
