/**
 * The journal of one run exactly up to a record: what is archived, and what still stands in the
 * partition's stream behind the archive's cursor.
 */
import type { Redis } from "ioredis";
import type { Ir } from "../../compiler/ir.ts";
import {
  HotState,
  parseJournalRecord,
  partitionKeys,
  type JournalRecord,
} from "../../sdk/internal.ts";
import { journalPages, readCursor, type Cursor, type Database } from "../../sdk/postgres/index.ts";

const PAGE = 500;
/** Records not yet archived that one look reads. */
const BACKLOG_MAX = 5000;

export interface FoldedRun {
  /** Null: the run has no journal. */
  hot: HotState | null;
  /** Everything up to `seq` is archived. */
  isArchived: boolean;
}

/** Folds a run up to record `seq`. Null: too much is not archived yet, or the stream was trimmed. */
export async function foldUpTo(
  stores: { redis: Redis; db: Database },
  at: { partition: number; runId: string; seq: number },
  ir: Ir,
): Promise<FoldedRun | null> {
  const { partition, runId, seq } = at;
  const cursor = await readCursor(stores.db, partition);
  if (cursor === null) {
    return null;
  }
  const hot = new HotState(ir);
  const until = Math.min(cursor.seq, seq);
  let count = 0;
  for await (const page of journalPages(stores.db, runId)) {
    const upTo = page.filter(({ position }) => Number.parseInt(position, 10) <= until);
    upTo.forEach(({ transition, t }) => hot.apply(transition, t));
    count += upTo.length;
    if (upTo.length < page.length) {
      break;
    }
  }
  if (cursor.seq < seq) {
    const records = await backlog(stores.redis, partition, cursor, seq);
    if (records === null) {
      return null;
    }
    for (const { transitions, t } of records) {
      const own = transitions.filter(({ r }) => r === runId);
      own.forEach((one) => hot.apply(one, t));
      count += own.length;
    }
  }
  return { hot: count === 0 ? null : hot, isArchived: cursor.seq >= seq };
}

/** The records behind the cursor up to `seq`; null if they are not all there. */
async function backlog(
  redis: Redis,
  partition: number,
  cursor: Cursor,
  seq: number,
): Promise<JournalRecord[] | null> {
  const { ev } = partitionKeys(partition);
  const records: JournalRecord[] = [];
  let from = cursor.streamId;
  let next = cursor.seq + 1;
  while (next <= seq && records.length < BACKLOG_MAX) {
    const entries = await redis.xrange(ev, `(${from}`, "+", "COUNT", PAGE);
    if (entries.length === 0) {
      return null;
    }
    for (const [id, fields] of entries) {
      const record = parseJournalRecord(id, fields);
      if (record.seq !== next) {
        return null;
      }
      if (record.seq <= seq) {
        records.push(record);
      }
      next += 1;
      from = id;
    }
  }
  return next > seq ? records : null;
}
