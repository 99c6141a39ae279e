/**
 * What a join that has fired cancels of its branches (scripts/include/complete_losers.lua), read off a
 * run's folded state. Pure; for joins that are decided anew when a run is redriven.
 */
import type { HotState } from "./hot-state.ts";
import type { Transition } from "./journal.ts";
import { scopePrefix } from "./scope.ts";

const OPEN = "arwkmg";

/** The transitions that end what is open there; `scope` is the join's. */
export function openLosers(
  state: HotState,
  runId: string,
  join: number,
  scope: string,
): Transition[] {
  const depth = scope === "" ? 0 : scope.split("/").length;
  const losers = state.ir.nodes[join]?.join.losers ?? [];
  const about = (n: number, s: string): Pick<Transition, "r" | "n" | "s" | "j"> => {
    return { r: runId, n, s, j: join };
  };
  const tokens = losers.flatMap((node): Transition[] => {
    const token = state.tokens.get(node);
    const isOpen = token?.scope === scope && OPEN.includes(token.state);
    return isOpen ? [{ ...about(node, scope), e: "node.cancelled", a: token.attempt }] : [];
  });
  const joins = losers.flatMap((node): Transition[] => {
    const waiting = state.joins.get(node);
    const isOpen = waiting?.scope === scope && waiting.live > 0;
    const v = { v: "cancelled" as const, in: waiting?.arrivals ?? "" };
    return isOpen ? [{ ...about(node, scope), e: "join.decided", ...v }] : [];
  });
  const loops = losers.flatMap((node): Transition[] => {
    const round = state.rounds.get(node) ?? "e";
    const isOpen =
      round.split("/").length === depth + 1 &&
      !round.startsWith("e") &&
      scopePrefix(round, depth) === scope;
    return isOpen ? [{ ...about(node, round), e: "node.cancelled" }] : [];
  });
  return [...tokens, ...joins, ...loops];
}
