/**
 * Why a run that waits stays in Redis however long that takes: it is too large to be looked through, and
 * written back, in one call (docs/limits.md, "Runs that stay awake"). The bounds are those of
 * scripts/hibernate_runs.lua.
 */
import { elementPlace, type OpenToken, type RunSnapshot } from "../../sdk/internal.ts";
import type { Reason } from "../explain.ts";
import { isActive } from "./place.ts";

const FIELDS_MAX = 20_000;
const ELEMENTS_MAX = 10_000;

/** Of a run whose tokens all wait, or are held; nothing where it may sleep. */
export function awakeReasons(snapshot: RunSnapshot, tokens: readonly OpenToken[]): Reason[] {
  const { runId, units, entries } = snapshot;
  const isPaused = units.get(runId)?.["s"] === "paused";
  if (tokens.length === 0 || (!isPaused && tokens.some(isActive))) {
    return [];
  }
  let [fields, elements] = [0, 0];
  for (const [unit, hash] of units) {
    if (unit === runId || elementPlace(unit) !== null) {
      fields += Object.keys(hash).length;
    } else {
      elements += Number(hash["next"] ?? 0);
    }
  }
  const held = entries.filter(({ state }) => state === "held").length;
  const counts = [
    [fields, FIELDS_MAX, "fields in its hashes"],
    [elements, ELEMENTS_MAX, "elements of its maps have begun"],
    [held, ELEMENTS_MAX, "entries are held for it"],
  ] as const;
  const [over] = counts.filter(([count, max]) => count > max);
  if (over === undefined) {
    return [];
  }
  const [count, max, what] = over;
  const text =
    "stays in Redis however long it waits, being too large to sleep: " +
    `${count} ${what}, at most ${max} may be`;
  return [{ kind: "stays_awake", text }];
}
