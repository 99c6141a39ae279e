/** Invariants of 20 §9 that can be read off a run's hash, checked after every transition. */
import type { Ir } from "../../compiler/ir.ts";
import { parseRecord, RunView, type JournalRecord } from "../../sdk/internal.ts";

/**
 * Tokens in flight at top level: active ones (ready, in execution, waiting, spreading a skip), live
 * arrivals at joins that are not decided, and one for every loop that is going round.
 */
export function tokensInFlight(ir: Ir, hash: { [field: string]: string }): number {
  let count = 0;
  for (const [field, value] of Object.entries(hash)) {
    const index = Number(field.slice(1));
    if (/^n\d+$/.test(field)) {
      const record = parseRecord(value);
      count += record?.scope === "" && "arwkmg".includes(record.state) ? 1 : 0;
    } else if (/^j\d+$/.test(field)) {
      const [scope, live] = value.split("|");
      count += scope === "" && Number(live) > 0 ? Number(live) : 0;
    } else if (/^l\d+$/.test(field)) {
      const loop = ir.loops[ir.nodes[index]?.latch_of ?? -1];
      count += loop?.parent === null && !value.startsWith("e") ? 1 : 0;
    }
  }
  return count;
}

/** Throws unless the counter of a running run equals its tokens in flight. */
export function assertCounter(ir: Ir, hash: { [field: string]: string }): void {
  const counter = Number(hash["c"]);
  if (hash["s"] === "running" || hash["s"] === "paused") {
    const live = tokensInFlight(ir, hash);
    if (counter !== live || counter < 1) {
      throw new Error(`counter ${counter}, tokens in flight ${live}: ${JSON.stringify(hash)}`);
    }
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
      if (ends > 0) {
        throw new Error(`transition ${t.e} after the run's end`);
      }
      ends += ["run.completed", "run.failed", "run.cancelled"].includes(t.e) ? 1 : 0;
      view.apply(t, record.t);
    }
  }
  return view;
}
