/**
 * The journal of one run exactly up to a record: what is archived, and what still stands in the
 * partition's stream behind the archive's cursor.
 */
import type { Ir } from "../../compiler/ir.ts";
import { HotState } from "../../sdk/internal.ts";
import { journalPages, readCursor, type Database } from "../../sdk/postgres/index.ts";
import type { Backlog } from "./backlog.ts";

export interface FoldedRun {
  /** Null: the run has no journal. */
  hot: HotState | null;
  /** Everything up to `seq` is archived. */
  isArchived: boolean;
}

/** Folds a run up to record `seq`. Null: too much is not archived yet, or the stream was trimmed. */
export async function foldUpTo(
  stores: { db: Database; backlog: Backlog },
  at: { partition: number; runId: string; seq: number },
  ir: Ir,
): Promise<FoldedRun | null> {
  const { partition, runId, seq } = at;
  const { db, backlog } = stores;
  const cursor = await readCursor(db, partition);
  if (cursor === null) {
    return null;
  }
  const hot = new HotState(ir);
  const until = Math.min(cursor.seq, seq);
  let count = 0;
  for await (const page of journalPages(db, runId)) {
    const upTo = page.filter(({ position }) => Number.parseInt(position, 10) <= until);
    upTo.forEach(({ transition, t }) => hot.apply(transition, t));
    count += upTo.length;
    if (upTo.length < page.length) {
      break;
    }
  }
  if (cursor.seq < seq) {
    const told = await backlog.of(runId, cursor, seq);
    if (told === null) {
      return null;
    }
    for (const { transitions, t } of told) {
      transitions.forEach((one) => hot.apply(one, t));
      count += transitions.length;
    }
  }
  return { hot: count === 0 ? null : hot, isArchived: cursor.seq >= seq };
}
