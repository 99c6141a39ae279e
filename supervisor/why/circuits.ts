/**
 * Which circuit holds a token back, and how that circuit stands. The run's hash tells neither the name,
 * which an expression gives, nor a token that is held back from one that waits for its retry: its
 * journal does.
 */
import type { Redis } from "ioredis";
import { readCircuit, type CircuitView, type HotState } from "../../sdk/internal.ts";
import type { Reason } from "../explain.ts";
import { dueText } from "./due.ts";

/** Instead of when it is due. */
export const NO_TIMER = "no timer is armed";

/** A token waits for a time, and for nothing else. */
export function timerReason(dueMs: number | null, nowMs: number): Reason & { kind: "timer" } {
  return { kind: "timer", dueMs, text: `waiting for timer until ${timeText(dueMs, nowMs)}` };
}

/** A token waits for this circuit; `view` null: how it stands is not known. */
export function circuitReason(
  name: string,
  dueMs: number | null,
  nowMs: number,
  view: CircuitView | null,
): Reason & { kind: "circuit" } {
  const how = view === null ? "" : `, which is ${stateText(view)}`;
  const text = `held back by circuit ${name}${how}; asks again at ${timeText(dueMs, nowMs)}`;
  return { kind: "circuit", dueMs, name, state: view?.state ?? null, text };
}

/** When it is due, or that nothing will ever say so. */
export function timeText(dueMs: number | null, nowMs: number): string {
  return dueMs === null ? NO_TIMER : dueText(dueMs, nowMs);
}

function stateText({ state, untilMs, byHand }: CircuitView): string {
  if (byHand) {
    return "open by hand (see gavotte audit)";
  }
  return {
    open: `open until ${new Date(untilMs ?? 0).toISOString()}`,
    half_open: "half-open: one execution tries whether it works again",
    closed: "closed by now",
  }[state];
}

/** The same reasons; those of tokens that a circuit holds back say so. */
export async function tellCircuits(
  redis: Redis,
  state: HotState,
  reasons: readonly Reason[],
  nowMs: number,
): Promise<Reason[]> {
  if (!reasons.some(({ kind }) => kind === "circuit" || kind === "retry")) {
    return [...reasons];
  }
  return Promise.all(
    reasons.map(async (reason): Promise<Reason> => {
      if (reason.kind !== "circuit" && reason.kind !== "retry") {
        return reason;
      }
      const { node, scope, home, dueMs } = reason;
      const about = {
        ...(node === undefined ? {} : { node }),
        ...(scope === undefined ? {} : { scope }),
      };
      const place = home === undefined ? about : { ...about, home };
      const unit = home === undefined ? state : state.element(home);
      const index = unit?.ir.nodes.findIndex(({ id }) => id === node) ?? -1;
      const circuit = unit?.tokens.get(index)?.circuit;
      if (circuit !== undefined) {
        const view = await readCircuit(redis, circuit);
        return { ...place, ...circuitReason(circuit, dueMs, nowMs, view) };
      }
      // A journal that is behind may not have the token's element yet: no circuit's name then either.
      return reason.kind === "retry" ? reason : { ...place, ...timerReason(dueMs, nowMs) };
    }),
  );
}
