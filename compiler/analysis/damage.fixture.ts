/** Graphs that are not what the compiler would make: each has one thing wrong with it. */
import type { Ir } from "../ir.ts";

/** Cut, double or bend one thing. */
export function damage(ir: Ir, seed: number): Ir {
  const copy = structuredClone(ir);
  const edge = copy.edges[seed % Math.max(1, copy.edges.length)];
  if (!edge) return copy;
  const index = copy.edges.indexOf(edge);
  const [from, to] = [copy.nodes[edge.from], copy.nodes[edge.to]];
  if (!from || !to) return copy;
  switch (seed % 4) {
    case 0:
      from.out.splice(from.out.indexOf(index), 1);
      break;
    case 1:
      from.out.push(index);
      break;
    case 2:
      to.is_entry = true;
      to.in = [];
      break;
    default:
      to.in.splice(to.in.indexOf(index), 1, copy.edges.length + 3);
  }
  return copy;
}
