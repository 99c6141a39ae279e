/** Tokens in the hands of a lane that has no Redis: for tests of one of its parts. */
import type { ReadyToken, ScriptRunner } from "../sdk/internal.ts";
import { Leases, type Held } from "./leases.ts";
import type { Prepared } from "./prepared.ts";

/** A clock that stands, until it is set. */
export interface StandingClock {
  ms: number;
}

export function leasesOf(clock: StandingClock = { ms: 0 }): Leases {
  const scripts = null as unknown as ScriptRunner; // only a renewal asks for any
  return new Leases({ scripts, consumer: "w", leaseMs: 1000, nowMs: () => clock.ms });
}

export function tokenOf(runId: string, more: Partial<ReadyToken> = {}): ReadyToken {
  const token = { runId, unit: runId, epoch: "1", node: 0, scope: "", attempt: 1, kind: "run" };
  return { ...token, queueKey: "q", entryId: `${runId}-0`, irHash: "h", ...more } as ReadyToken;
}

const NODE = { id: "a", queue: 0 };

export function preparedOf(token: ReadyToken): Prepared {
  const profile = { ir: { nodes: [NODE] }, queueKeys: ["q"], entryKeys: ["q"] };
  return { token, profile, node: NODE } as unknown as Prepared;
}

/** What is known of it by its run, as a text to compare. */
export const runOf = ({ token }: Pick<Held | Prepared, "token">): string => token.runId;
