/** Typed call of scripts/expand_map.lua. */
import type { Ir } from "../../compiler/ir.ts";
import type { ReadyToken } from "../entry.ts";
import { queueLimits, type RunProfile } from "../profile.ts";
import { entrySuffix } from "../scope.ts";
import { mapUnit, parseUnit, terminalsOf, unitsAround } from "../unit.ts";
import type { ScriptArg, ScriptRunner } from "./script-runner.ts";

/** Items of one call, in number and in characters; elements of a map that run at a time. */
export const MAP_CHUNK_MAX = 500;
export const MAP_CHUNK_CHARS_MAX = 1_000_000;
export const MAP_WINDOW_MAX = 500;

export interface MapExpansion {
  /** The map's token. */
  token: ReadyToken;
  /** Queue of the map's node; the token's entry may stand in another stream. */
  queueKey: string;
  /** Profile of the map's body. */
  body: RunProfile;
  /** Names this expansion: of two at a time the one that began later counts. */
  by: string;
  count: number;
  window: number;
  tolerated: number;
  timeoutMs: number | null;
  /** What the body sees of the place where the map stands, as JSON text. */
  vars: string;
}

export const EXPANSION = {
  done: 0,
  more: 1,
  runGone: -1,
  tokenNotActive: -3,
  superseded: -5,
} as const;

/**
 * Writes items from index `from` on, or, without items, starts elements. One EXPANSION code: `more`
 * asks for the next items, and for a call without any after the last.
 */
export async function expandMap(
  scripts: ScriptRunner,
  map: MapExpansion,
  from: number,
  items: readonly string[],
): Promise<number> {
  const { token, body } = map;
  const { unit, epoch, node, scope, attempt, entryId, queueKey, runId } = token;
  const k = scripts.keys;
  const keys = [k.ev, k.meta, k.timers, k.release, k.maps(runId)];
  keys.push(k.run(mapUnit(unit, scope, node)), k.run(unit), queueKey, map.queueKey);
  keys.push(...body.queueKeys);
  keys.push(
    ...unitsAround(unit)
      .slice(1)
      .map((name) => k.run(name)),
  );
  const args: ScriptArg[] = [scripts.nonce(), unit, epoch, node, scope, attempt, entryId, map.by];
  args.push(body.irHash, map.count, map.window, map.tolerated);
  args.push(`${map.timeoutMs ?? 0}${queueLimits(body.ir)}`);
  args.push(entriesOf(body.ir), terminalList(body.ir), map.vars, from, ...items);
  return (await scripts.transition("expandMap", keys, args)) as number;
}

/** How the scripts are told where an element begins: "node,suffix,queue;" per entry node. */
export function entriesOf(ir: Ir): string {
  const { roots } = ir.analysis;
  return roots.map((n) => `${n},${entrySuffix(ir, n)},${ir.nodes[n]?.queue ?? 0};`).join("");
}

/** What an element's output is made of: "node=id," per terminal node. */
export function terminalList(ir: Ir): string {
  return terminalsOf(ir)
    .map((n) => `${n}=${ir.nodes[n]?.id ?? ""},`)
    .join("");
}

/** A page of elements to remove of a map that is over. */
export interface MapPage {
  /** On the list of what is void: it, or a map around it; null: its run has ended. */
  listed: string | null;
  map: string;
  from: number;
  to: number;
  isLast: boolean;
}

/** Removes elements `from` to `to` (not included), and the map after the last. False: it lives again. */
export async function releaseMap(scripts: ScriptRunner, page: MapPage): Promise<boolean> {
  const { listed, map, from, to, isLast } = page;
  const k = scripts.keys;
  const { runId } = parseUnit(map);
  const keys = [k.release, k.timers, k.maps(runId), k.run(map), k.run(runId)];
  keys.push(...Array.from({ length: to - from }, (_, i) => k.run(`${map}#${from + i}`)));
  const args = [listed ?? "", map, isLast ? "1" : "0"];
  return (await scripts.call("releaseMap", keys, args)) === 1;
}
