/**
 * The timers of a run against its journal: what ends a wait by time is armed, and for when the
 * journal says. Pure.
 *
 * Exact where the journal has the time: delays, retries, rounds, time limits of waits, of maps and of
 * the run. It does not tell when a token has been in its queue, or in execution, for too long: such
 * timers are not judged.
 */
import type { Ir } from "../../compiler/ir.ts";
import type { HotState } from "../hot-state.ts";
import type { HotToken } from "../hot-tokens.ts";
import { parseWait } from "../waits.ts";
import type { Drift } from "./drift.ts";
import type { RunSnapshot } from "./snapshot.ts";
import { driftAt, type OpenToken } from "./tokens.ts";

/** How long a timer that is due and could not be fired is put off (scripts/fire_timers.lua). */
const PUT_OFF_MS = 30_000;

type Timed = Pick<RunSnapshot, "runId" | "units" | "timers" | "nowMs">;

/** Of a token that waits; `hot`: the same by the journal, undefined where that is not known. */
export function tokenTimerDrifts(
  snapshot: Timed,
  token: OpenToken,
  hot: HotToken | undefined,
): Drift[] {
  const { index, hash, record } = token;
  const timer = hot?.timer ?? null;
  const isWait = record.state === "w" && parseWait(hash[`w${index}`]) !== null;
  const isTimed = timer !== null || (record.state !== "m" && !isWait && hot?.wait === undefined);
  if (!isTimed) {
    return [];
  }
  const member = hash[`d${index}`];
  const armed = member === undefined ? undefined : snapshot.timers.get(member);
  if (armed === undefined) {
    const is = member === undefined ? "no timer is armed" : `its timer ${member} is not armed`;
    return [driftAt(snapshot, token, "timer_missing", is, "a timer that ends the wait")];
  }
  if (timer === null || isDueAt(armed, timer.dueMs, snapshot.nowMs)) {
    return [];
  }
  return [driftAt(snapshot, token, "timer_due", dueText(armed), dueText(timer.dueMs))];
}

/** The time limit of the whole run; `hot`: null where its journal is not known. */
export function runTimerDrifts(ir: Ir, snapshot: Timed, hot: HotState | null): Drift[] {
  const { runId, units, timers, nowMs } = snapshot;
  const { s: status, e: epoch } = units.get(runId) ?? {};
  const limitMs = ir.settings.timeout_ms;
  if (limitMs === null || (status !== "running" && status !== "paused")) {
    return [];
  }
  const member = `run|${runId}|${epoch}||||`;
  const armed = timers.get(member);
  if (armed === undefined) {
    const at = { runId, member, is: "its time limit is not armed", expected: `${limitMs} ms` };
    return [{ kind: "timer_missing", ...at, remedy: "rebuild" }];
  }
  const dueMs = hot === null ? armed : hot.startedMs + limitMs;
  if (isDueAt(armed, dueMs, nowMs)) {
    return [];
  }
  const at = { runId, member, is: dueText(armed), expected: dueText(dueMs) };
  return [{ kind: "timer_due", ...at, remedy: "rebuild" }];
}

/** As it was armed, or, if it has been due and could not be fired, put off. */
function isDueAt(armed: number, dueMs: number, nowMs: number): boolean {
  const isPutOff = dueMs <= nowMs && armed > dueMs && armed <= nowMs + PUT_OFF_MS;
  return Math.abs(armed - dueMs) < 1 || isPutOff;
}

function dueText(ms: number): string {
  const date = new Date(ms);
  return `due at ${Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString()}`;
}
