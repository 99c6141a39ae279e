/**
 * Invariants of 20 §9 that can be read off a run's hash and its journal, checked after every
 * transition; those of sdk/audit, as errors.
 */
import type { Ir } from "../../compiler/ir.ts";
import { counterDrift, RunView, type JournalRecord } from "../../sdk/internal.ts";

/** Throws unless the counter of a running run equals its tokens in flight. */
export function assertCounter(ir: Ir, hash: { [field: string]: string }): void {
  const wrong = counterDrift(ir, hash);
  if (wrong !== null) {
    throw new Error(`${wrong.is}, expected ${wrong.expected}: ${JSON.stringify(hash)}`);
  }
}

/** Throws unless the records are chained without a gap; returns the run's view. */
export function foldChain(ir: Ir, runId: string, records: readonly JournalRecord[]): RunView {
  const view = new RunView(ir);
  let prev: JournalRecord | null = null;
  let ends = 0;
  for (const record of records) {
    if (prev !== null && (record.seq !== prev.seq + 1 || record.prev !== prev.nonce)) {
      throw new Error(`journal record ${record.seq} does not continue ${prev.seq}`);
    }
    prev = record;
    for (const t of record.transitions.filter((transition) => transition.r === runId)) {
      ends = t.e === "run.redriven" ? 0 : ends;
      if (ends > 0 && t.e !== "run.suspect") {
        throw new Error(`transition ${t.e} after the run's end`);
      }
      ends += ["run.completed", "run.failed", "run.cancelled"].includes(t.e) ? 1 : 0;
      view.apply(t, record.t);
    }
  }
  return view;
}
