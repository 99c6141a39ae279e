/**
 * What the arrivals at a join decide.
 *
 * A function of the set of arrivals alone. Under `all` it does not matter in which order they came;
 * an `any` or `count` join is asked after each arrival, and its first answer is final.
 */
import type { IrJoin } from "../ir.ts";
import type { EdgeValue } from "./types.ts";

/** `skip` carries the value that the skipped node sends on all of its out-edges. */
export type JoinDecision = { kind: "wait" } | { kind: "fire" } | JoinSkip;

export interface JoinSkip {
  kind: "skip";
  value: "dead" | "failed";
}

const WAIT: JoinDecision = { kind: "wait" };
const FIRE: JoinDecision = { kind: "fire" };

/** `arrivals` has one place per forward in-edge; null: the edge is not decided yet. */
export function decideJoin(join: IrJoin, arrivals: readonly (EdgeValue | null)[]): JoinDecision {
  const isDecided = !arrivals.includes(null);
  const live = arrivals.filter((value) => value === "live").length;
  const hasFailed = arrivals.includes("failed");
  if (join.kind === "all") {
    if (!isDecided) return WAIT;
    if (live > 0 && !hasFailed) return FIRE;
  } else {
    if (live >= join.need) return FIRE;
    if (!isDecided) return WAIT;
  }
  return { kind: "skip", value: hasFailed ? "failed" : "dead" };
}
