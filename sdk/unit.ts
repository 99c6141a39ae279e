/**
 * Units: what a token belongs to. A run, or one element of a map inside it (20 §5).
 *
 * A unit is named "<run>" or "<run>!<home>"; a home is the way down to an element: rounds of loops,
 * then "<map node>#<index>", e.g. "7:2/12#5" is element 5 of map 12 that was activated in round 2 of
 * loop 7, "12#5/3#0" element 0 of map 3 inside element 5 of map 12. Without its last "#<index>" a
 * home names the map. scripts/include/unit.lua is the same in Lua.
 */
import type { Ir, IrNode } from "../compiler/ir.ts";
import { scopeJoin } from "./scope.ts";

/** Run id and home of a unit; home is "" for the run itself. */
export function parseUnit(unit: string): { runId: string; home: string } {
  const bang = unit.indexOf("!");
  return bang < 0
    ? { runId: unit, home: "" }
    : { runId: unit.slice(0, bang), home: unit.slice(bang + 1) };
}

/** The unit with this home. */
export function unitOf(runId: string, home: string): string {
  return home === "" ? runId : `${runId}!${home}`;
}

/** The name of the map whose token has this node and scope in a unit. */
export function mapUnit(unit: string, scope: string, node: number): string {
  return `${unit}${unit.includes("!") ? "/" : "!"}${scopeJoin(scope, String(node))}`;
}

export interface ElementPlace {
  /** Name of the map. */
  map: string;
  index: number;
  /** Unit, scope and node of the map's token. */
  parent: string;
  scope: string;
  node: number;
}

/** Where an element stands; null if the unit is a run. */
export function elementPlace(unit: string): ElementPlace | null {
  const hash = unit.lastIndexOf("#");
  if (hash < 0) {
    return null;
  }
  const map = unit.slice(0, hash);
  const above = map.lastIndexOf("#");
  const cut = above < 0 ? map.indexOf("!") : map.indexOf("/", above);
  const path = map.slice(cut + 1);
  const slash = path.lastIndexOf("/");
  return {
    map,
    index: Number(unit.slice(hash + 1)),
    parent: map.slice(0, cut),
    scope: slash < 0 ? "" : path.slice(0, slash),
    node: Number(path.slice(slash + 1)),
  };
}

/** The map of the run itself that a home, or a scope that begins with one, lies in; null: in none. */
export function outermostMap(home: string): { scope: string; node: number } | null {
  const hash = home.indexOf("#");
  const path = home.slice(0, Math.max(0, hash));
  const slash = path.lastIndexOf("/");
  return hash < 0
    ? null
    : { scope: path.slice(0, Math.max(0, slash)), node: Number(path.slice(slash + 1)) };
}

/**
 * The epoch of the elements that an attempt of a map expands to: that of the map's unit, and how deep
 * the map is and which attempt, unless it is the first. Elements have the same names each time.
 */
export function elementEpoch(map: string, epoch: string, attempt: number): string {
  return attempt === 1 ? epoch : `${epoch}.${map.split("#").length}:${attempt}`;
}

/** The run's part of a token's epoch. */
export function runEpoch(epoch: string): string {
  return epoch.split(".", 1)[0] as string;
}

/** The names whose keys a script needs to accept an item of this unit: it, and what is around it. */
export function unitsAround(unit: string): string[] {
  const names = [unit];
  for (let at = elementPlace(unit); at !== null; at = elementPlace(at.parent)) {
    names.push(at.map, at.parent);
  }
  return names;
}

/** IR hash of a map's body: "<root hash>/<map>/<map>…". */
export function bodyHash(irHash: string, node: number): string {
  return `${irHash}/${node}`;
}

/** The IR that such a hash names inside `root`; null if there is none. */
export function bodyAt(root: Ir, irHash: string): Ir | null {
  let ir: Ir | undefined = root;
  for (const node of irHash.split("/").slice(1)) {
    ir = ir?.nodes[Number(node)]?.body;
  }
  return ir ?? null;
}

/** The body that an element's home leads to, `root` itself for ""; undefined if there is none. */
export function irAt(root: Ir, home: string): Ir | undefined {
  let ir: Ir | undefined = root;
  for (const [, map] of home.matchAll(/(\d+)#\d+/g)) {
    ir = ir?.nodes[Number(map)]?.body;
  }
  return ir;
}

/** The node that a journal's home and node index mean. */
export function nodeAt(root: Ir, home: string, node: number): IrNode | undefined {
  return irAt(root, home)?.nodes[node];
}

/** Nodes whose outputs make up an element's or a run's output. */
export function terminalsOf(ir: Ir): number[] {
  return ir.nodes.flatMap((node, index) =>
    node.is_terminal && node.synthetic !== true ? [index] : [],
  );
}
