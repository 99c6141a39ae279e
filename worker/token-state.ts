/**
 * What the fields of its run say of a token: is it still what its entry stands for?
 *
 * The record decides, and with it the run's status and epoch, and the rounds and the element that the
 * token is in. A token that is void is never executed: what it leads to would be refused.
 */
import { parseRecord, roundsOf, type EntryKind, type ReadyToken } from "../sdk/internal.ts";
import type { Surroundings } from "./elements.ts";

/** Of a run or an element: its status and its epoch. */
export const CHECKED: readonly string[] = ["s", "e"];

/** State of the record for which an entry stands. A map's entry stays until all of it runs. */
const STATES: { [kind in EntryKind]?: string } = { run: "am", skip: "k", gather: "g" };

/** What tells whether a token is still what its record says. */
export function checkedFields({ node, scope }: ReadyToken): string[] {
  return [...CHECKED, `n${node}`, ...roundsOf(scope).map(([field]) => field)];
}

/** An element is as its run is: its own status counts only while the run runs (include/unit.lua). */
export function asItsRun(data: Map<string, string | null>, run: Surroundings["run"]): void {
  const own = data.get("s");
  const isOpen = run?.status === "running" || run?.status === "paused";
  data.set("s", own === "running" ? (run?.status ?? null) : isOpen ? (own ?? null) : null);
  data.set("e", run?.epoch ?? null);
}

/** Whether the run that the token is of goes on, under the token's epoch. */
export function isOpen(token: ReadyToken, data: ReadonlyMap<string, string | null>): boolean {
  const status = data.get("s");
  return (status === "running" || status === "paused") && data.get("e") === token.epoch;
}

/** What becomes of a token whose run was read. */
export function kindOf(
  token: ReadyToken,
  data: ReadonlyMap<string, string | null>,
): "ready" | "hold" | "drop" {
  const status = data.get("s");
  if (data.get("e") !== token.epoch) {
    return "drop";
  }
  if (token.kind === "finish") {
    return status === "finishing" ? "ready" : "drop";
  }
  if ((status !== "running" && status !== "paused") || !isActive(token, data)) {
    return "drop";
  }
  return status === "paused" ? "hold" : "ready";
}

function isActive(token: ReadyToken, data: ReadonlyMap<string, string | null>): boolean {
  const record = parseRecord(data.get(`n${token.node}`));
  return (
    record !== null &&
    (STATES[token.kind] ?? "a").includes(record.state) &&
    record.scope === token.scope &&
    record.attempt === token.attempt &&
    roundsOf(token.scope).every(([field, round]) => data.get(field) === round)
  );
}
