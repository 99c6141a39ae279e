/**
 * Cycles of a state machine as loops: a loop has one state at which it is entered, its head.
 *
 * A strongly connected part with one entry is a loop with that entry as its head; inside it, with
 * the ways back to the head taken away, there may be more of them. A part with several entries is
 * no loop at all.
 */
import { cyclicParts } from "../../cycles.ts";
import { LOOP_DEPTH_MAX } from "../../limits.ts";

export interface Cycle {
  head: string;
  states: ReadonlySet<string>;
  parent: Cycle | null;
}

export interface Found {
  /** Outer ones before the ones inside them. */
  cycles: Cycle[];
  /** Cycles that can be entered at several states, which are named. */
  tangles: { states: string[]; entries: string[] }[];
  /** The head of a cycle in too many others, which was not looked into. */
  tooDeep: string | undefined;
}

/** The cycles of the states that `successors` tells; `start` is where the machine begins. */
export function findCycles(
  names: readonly string[],
  successors: (name: string) => readonly string[],
  start: string,
): Found {
  const found: Found = { cycles: [], tangles: [], tooDeep: undefined };
  search(names, successors, start, null, found);
  return found;
}

function search(
  names: readonly string[],
  successors: (name: string) => readonly string[],
  start: string,
  parent: Cycle | null,
  found: Found,
): void {
  const inside = new Set(names);
  const next = (name: string): string[] =>
    successors(name).filter((to) => inside.has(to) && to !== parent?.head);
  for (const states of components(names, next)) {
    const entries = entriesOf(states, names, next, start);
    const [head] = entries;
    if (head === undefined) continue;
    if (entries.length > 1) {
      found.tangles.push({ states: [...states], entries });
      continue;
    }
    const cycle: Cycle = { head, states, parent };
    found.cycles.push(cycle);
    if (depthOf(cycle) > LOOP_DEPTH_MAX) found.tooDeep = head;
    else search([...states], successors, head, cycle, found);
  }
}

function depthOf(cycle: Cycle): number {
  let depth = 0;
  for (let at: Cycle | null = cycle; at; at = at.parent) depth++;
  return depth;
}

/** States of a part that are reached from outside of it. */
function entriesOf(
  states: ReadonlySet<string>,
  names: readonly string[],
  next: (name: string) => readonly string[],
  start: string,
): string[] {
  const entries = new Set<string>(states.has(start) ? [start] : []);
  for (const name of names) {
    if (states.has(name)) continue;
    for (const to of next(name)) if (states.has(to)) entries.add(to);
  }
  return [...entries];
}

/** Strongly connected parts with a cycle in them; a state that leads to itself is one. */
function components(
  names: readonly string[],
  next: (name: string) => readonly string[],
): Set<string>[] {
  const index = new Map(names.map((name, i) => [name, i]));
  const edges = names.flatMap((name, from) =>
    next(name).map((to) => ({ from, to: index.get(to) ?? 0 })),
  );
  const out = names.map((): number[] => []);
  edges.forEach(({ from }, edge) => out[from]?.push(edge));
  const parts = cyclicParts({ nodes: names.map((id) => ({ id })), edges }, out);
  const own = edges.filter(({ from, to }) => from === to).map(({ from }) => [from]);
  const large = new Set(parts.flat());
  const single = own.filter(([only]) => !large.has(only ?? -1));
  return [...parts, ...single].map((part) => new Set(part.map((i) => names[i] ?? "")));
}
