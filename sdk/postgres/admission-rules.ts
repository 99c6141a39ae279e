/**
 * Who of those that wait may start: pure, so that what is written is decided before anything is.
 *
 * A run needs a place of its key, a start of its rate and a place of its tenant at one moment; it
 * holds nothing while it waits, so nobody waits for one who waits. Candidates are asked in their
 * turn; one that cannot go does not keep those behind it that need other places.
 */
import type { Priority } from "../../compiler/ir.ts";

/** What an accepted run has to wait for, as its workflow says it. */
export interface RunLimits {
  key: {
    /** Identifies all that count together. */
    id: string;
    /** The evaluated key, for people. */
    text: string;
    limit: number;
    onConflict: "queue" | "reject" | "cancel_running";
  } | null;
  rate: { id: string; text: string; limit: number; perMs: number } | null;
}

/** A run is overtaken only by those of the next higher priority that come within so long after it. */
export const TURN_STEP_MS = 60_000;
const STEPS: { readonly [priority in Priority]: number } = { high: 0, normal: 1, low: 2 };

/** Where a run stands in the order of admission. */
export function turnOf(createdAtMs: number, priority: Priority): number {
  return createdAtMs + STEPS[priority] * TURN_STEP_MS;
}

export interface Candidate {
  runId: string;
  key: string | null;
  keyLimit: number;
  rate: string | null;
  rateLimit: number;
  rateMs: number;
}

export interface Starts {
  count: number;
  firstMs: number;
}

/** What is taken already; `decideAdmissions` counts on. */
export interface Taken {
  /** Places by key. */
  keys: Map<string, number>;
  /**
   * Starts within a time until now, and when the first of them was; by rate, then by time in ms, since
   * versions of a workflow may count over different ones.
   */
  rates: Map<string, Map<number, Starts>>;
  /** The tenant's places. */
  tenant: number;
  /** How many places it has; null: no end. */
  tenantMax: number | null;
  nowMs: number;
}

export interface Decided {
  admitted: string[];
  /** Wait for a place of their key, or a start of their rate. */
  waiting: string[];
  /** Wait for nothing but a place of their tenant. */
  tenant: string[];
  /** When a rate that keeps somebody waiting has its next start for one of them: later than now. */
  dues: Map<string, number>;
}

/** Decides about candidates in their order. */
export function decideAdmissions(candidates: readonly Candidate[], taken: Taken): Decided {
  const decided: Decided = { admitted: [], waiting: [], tenant: [], dues: new Map() };
  for (const one of candidates) {
    const { key, rate } = one;
    if (key !== null && (taken.keys.get(key) ?? 0) >= one.keyLimit) {
      decided.waiting.push(one.runId);
      continue;
    }
    const started = rate === null ? undefined : taken.rates.get(rate)?.get(one.rateMs);
    if (rate !== null && started !== undefined && started.count >= one.rateLimit) {
      decided.waiting.push(one.runId);
      const due = started.firstMs + one.rateMs;
      decided.dues.set(rate, Math.min(decided.dues.get(rate) ?? due, due));
      continue;
    }
    if (taken.tenantMax !== null && taken.tenant >= taken.tenantMax) {
      decided.tenant.push(one.runId);
      continue;
    }
    decided.admitted.push(one.runId);
    take(taken, one);
  }
  return decided;
}

function take(taken: Taken, { key, rate }: Candidate): void {
  taken.tenant++;
  if (key !== null) {
    taken.keys.set(key, (taken.keys.get(key) ?? 0) + 1);
  }
  const windows = rate === null ? undefined : taken.rates.get(rate);
  for (const [ms, before] of windows ?? []) {
    const firstMs = before.count === 0 ? taken.nowMs : before.firstMs;
    windows?.set(ms, { count: before.count + 1, firstMs });
  }
}
