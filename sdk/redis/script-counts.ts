/**
 * How often this process has called which script, and how long Redis took to answer: for metrics.
 *
 * Of the process and not of a connection or a role, since Prometheus asks processes; nothing is
 * decided by it. A call settles a batch, so counting costs a batch a few additions.
 */
import { Durations } from "../durations.ts";
import type { ScriptName } from "./scripts.gen.ts";

export interface ScriptCount {
  ok: number;
  /** Not certified, loading, full: it is waited for. */
  waits: number;
  errors: number;
}

class ScriptCounts {
  readonly byName = new Map<ScriptName, ScriptCount>();
  /** Of calls that were answered. */
  readonly times = new Durations();

  add(name: ScriptName, outcome: keyof ScriptCount): void {
    let count = this.byName.get(name);
    if (count === undefined) {
      count = { ok: 0, waits: 0, errors: 0 };
      this.byName.set(name, count);
    }
    count[outcome] += 1;
  }
}

export const scriptCounts = new ScriptCounts();
