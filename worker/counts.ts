/**
 * What a worker counts of its work, for metrics: plain numbers, that somebody else makes text of.
 *
 * The hot path adds to them once for a batch; of a single step only how long it took is counted, and
 * how it ended. Nothing is decided by any of this.
 */
import { COMPLETION, Durations, type CompletionItem } from "../sdk/internal.ts";

/** How executions of one kind of node have ended. */
export class StepCounts {
  readonly times = new Durations();
  completed = 0;
  /** To be tried again. */
  retrying = 0;
  /** For good, an edge handles it or not. */
  failed = 0;
}

export class WorkerCounts {
  /** By kind of node. */
  readonly steps = new Map<string, StepCounts>();
  reads = 0;
  tokensRead = 0;
  /** How long the first token of each read had waited in its queue. */
  readonly waits = new Durations();
  /** Items that Redis has accepted, has refused because they came too late, and has not answered. */
  settled = { accepted: 0, refused: 0, unknown: 0 };
  batches = 0;
  /** Nodes whose ends these items had: those evaluated in the step of another one, too. */
  nodes = 0;
  takenOver = 0;
  poison = 0;

  /** An execution has ended with this item. */
  step(kind: string, ms: number, { results }: CompletionItem): void {
    let counts = this.steps.get(kind);
    if (counts === undefined) {
      counts = new StepCounts();
      this.steps.set(kind, counts);
    }
    counts.times.observe(ms);
    const op = results[0]?.op;
    if (op === "R") {
      counts.retrying += 1;
    } else if (op === "F" || op === "U" || op === "X") {
      counts.failed += 1;
    } else {
      counts.completed += 1;
    }
  }

  /** A call has settled these items, with the COMPLETION codes that Redis answered. */
  batch(sent: readonly { item: CompletionItem }[], codes: readonly number[]): void {
    let refused = 0;
    let unknown = 0;
    let nodes = 0;
    for (let i = 0; i < sent.length; i++) {
      const code = codes[i] as number;
      refused += code < COMPLETION.done ? 1 : 0;
      unknown += Number.isNaN(code) ? 1 : 0;
      nodes += code >= COMPLETION.done ? endsOf((sent[i] as { item: CompletionItem }).item) : 0;
    }
    this.batches += 1;
    this.nodes += nodes;
    this.settled.refused += refused;
    this.settled.unknown += unknown;
    this.settled.accepted += sent.length - refused - unknown;
  }

  /** A read has brought so many tokens; the first of them was queued `waitMs` ago. */
  read(tokens: number, waitMs: number): void {
    this.reads += 1;
    if (tokens > 0) {
      this.tokensRead += tokens;
      this.waits.observe(waitMs);
    }
  }
}

/** Results of what is tried again, or waits, are no ends: such a result is its item's only one. */
function endsOf({ results }: CompletionItem): number {
  const op = results[0]?.op;
  return op === "R" || op === "P" || op === "W" || op === "S" ? 0 : results.length;
}
