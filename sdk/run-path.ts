/**
 * The way that a run's tokens took, hop by hop, read off its journal: what ends a node says which of
 * its out-edges are live, and each live edge is a hop. Several that meet in a join are several hops.
 */
import type { Ir } from "../compiler/ir.ts";
import type { Transition } from "./journal.ts";
import type { ArchivedTransition } from "./postgres/index.ts";
import { irAt } from "./unit.ts";

/** A token went from one node to the next. */
export interface Hop {
  /** Null: it began there. */
  from: string | null;
  to: string;
  /** Rounds of loops that it came from; of another round, that round. */
  scope: string;
  /** Element of a map that both nodes are in, e.g. `3#17`; "": none. */
  element: string;
  /** Time, ms since 1970, and place in the partition's journal. */
  atMs: number;
  position: string;
}

/** Every hop of a run, in the order in which they happened; of all attempts of the run. */
export function pathOf(ir: Ir, journal: readonly ArchivedTransition[]): Hop[] {
  return journal.flatMap(({ transition: t, t: atMs, position }) => {
    const graph = irAt(ir, t.m ?? "");
    const place = { scope: t.s ?? "", element: t.m ?? "", atMs, position };
    return hopsOf(t, graph ?? ir).map(([from, to]) => ({ from, to, ...place }));
  });
}

function hopsOf(t: Transition, { nodes, edges, analysis }: Ir): [string | null, string][] {
  const idOf = (index: number): string => nodes[index]?.id ?? String(index);
  switch (t.e) {
    case "run.started":
      // One that starts in the middle has its first tokens from outside.
      return t.st === undefined ? analysis.roots.map((root) => [null, idOf(root)]) : [];
    case "node.completed":
    case "node.failed": {
      const out = nodes[t.n ?? -1]?.out ?? [];
      const live = out.filter((_, place) => t.x?.[place] === "L");
      return live.map((edge) => [idOf(t.n ?? -1), idOf(edges[edge]?.to ?? -1)]);
    }
    case "loop.round": {
      const latch = Number.parseInt(t.s?.split("/").at(-1) ?? "", 10);
      return [[idOf(latch), idOf(t.n ?? -1)]];
    }
    default:
      return [];
  }
}
