/**
 * The signals of a run against its journal: those kept for a wait still to come, the ids that were
 * accepted, and who waits for which, in which order. A kept signal that is lost is a wait that never
 * ends; an id that is lost lets a repeated signal serve a second one. Pure.
 *
 * Places in a line may have other numbers, and tokens of rounds and maps that are over may still stand
 * in it: who comes next is compared, not how that is written.
 */
import type { HotState } from "../hot-state.ts";
import { linesOf, parseWait, type Waiter } from "../waits.ts";
import type { Drift, DriftKind } from "./drift.ts";
import type { RunSnapshot } from "./snapshot.ts";
import { foldedStates, isUnitAlive, type Hash } from "./units.ts";
import { sameValue, shown } from "./values.ts";

/** Fields that do not speak of who waits, and what a difference in them is called. */
const FIELD = /^(?:[pr]\d+$|[qi]:|[kn]$)/;
const KINDS: readonly [kind: DriftKind, told: string][] = [
  ["signal_kept", "pqk"],
  ["signal_id", "irn"],
];

type Signalled = Pick<RunSnapshot, "runId" | "units" | "signals">;

/** What the run's signals hash says otherwise than its journal folded up to the same moment. */
export function signalDrifts(snapshot: Signalled, hot: HotState): Drift[] {
  return [...fieldDrifts(snapshot, hot), ...lineDrifts(snapshot, hot)];
}

/** One drift for all that is off with what is kept, one for all that is off with the ids. */
function fieldDrifts({ runId, signals }: Signalled, hot: HotState): Drift[] {
  const told = hot.signals.fields(() => null);
  const fields = new Set([...Object.keys(told), ...Object.keys(signals)]);
  const wrong = [...fields].filter((field) => {
    return FIELD.test(field) && !sameValue(signals[field], told[field]);
  });
  return KINDS.flatMap(([kind, order]): Drift[] => {
    const rank = (field: string): number => order.indexOf(field.charAt(0));
    const own = wrong.filter((field) => rank(field) >= 0).sort((a, b) => rank(a) - rank(b));
    const [first] = own;
    if (first === undefined) {
      return [];
    }
    const more = own.length === 1 ? "" : `, and ${own.length - 1} more of its fields are others`;
    const at = { runId, member: `signals, field ${first}`, is: shown(signals[first]) + more };
    return [{ kind, ...at, expected: shown(told[first]), remedy: "rebuild" }];
  });
}

/** One drift for each name in whose line a token that waits would not be found in its turn. */
function lineDrifts({ runId, signals, units }: Signalled, hot: HotState): Drift[] {
  const queueOf = queuesOfWaiting(runId, units, hot);
  const told = linesOf(hot.signals.fields(queueOf));
  const lines = linesOf(signals);
  return [...new Set([...told.keys(), ...lines.keys()])].flatMap((name): Drift[] => {
    const line = lines.get(name) ?? [];
    const waiting = line.filter((waiter) => {
      const [node = "", home = "", scope = ""] = waiter.split("|");
      return queueOf(Number(node), home, scope) !== null;
    });
    const expected = (told.get(name) ?? []).join(", ");
    const is = waiting.map((waiter) => waiter + misplaced(signals, waiter)).join(", ");
    const [, , count = "0"] = signals[`w:${name}`]?.split("|") ?? [];
    const miscount = count === String(line.length) ? "" : `, counted as ${count}`;
    if (is === expected && miscount === "") {
      return [];
    }
    const at = { runId, member: `signals, line of ${name}`, is: shown(is) + miscount };
    return [{ kind: "waiter_place", ...at, expected: shown(expected), remedy: "rebuild" }];
  });
}

/** Says of one that stands where its node does not lead that it would never leave. */
function misplaced(signals: Hash, waiter: Waiter): string {
  const [node = "", home = ""] = waiter.split("|");
  return signals[`v${signals[`u${node}|${home}`]}`] === waiter ? "" : " (not by its node)";
}

/**
 * The queue of a token that is parked by the journal, as its field `w<node>` has it; null: it is not, is
 * void, or what it waits for is missing, which is a drift of its own.
 */
function queuesOfWaiting(
  runId: string,
  units: ReadonlyMap<string, Hash>,
  hot: HotState,
): (node: number, home: string, scope: string) => string | null {
  const states = foldedStates(runId, hot);
  return (node, home, scope) => {
    const unit = home === "" ? runId : `${runId}!${home}`;
    const state = states.get(unit);
    const token = state?.tokens.get(node);
    const isParked =
      token?.state === "w" && token.scope === scope && state?.isCurrent(scope) === true;
    return isParked && isUnitAlive(units, unit)
      ? (parseWait(units.get(unit)?.[`w${node}`])?.queueKey ?? null)
      : null;
  };
}
