/**
 * A run's journal up to now: what Postgres has archived, then what still stands in the stream.
 *
 * The cursor is read first, so everything up to it is in Postgres; the stream is read from the
 * cursor on. If the archiver moved on and trimmed in between, the stream's first record no longer
 * continues the cursor, and the whole is read again.
 */
import type { Redis } from "ioredis";
import {
  comparePositions,
  parseJournalRecord,
  partitionKeys,
  positionOf,
  type Transition,
} from "../sdk/internal.ts";
import { readCursor, readJournal, type Database } from "../sdk/postgres/index.ts";

export interface Placed {
  position: string;
  tMs: number;
  transition: Transition;
}

const PAGE = 500;
const TRIES = 10;

/** All transitions of a run in order. */
export async function readHistory(
  db: Database,
  redis: Redis,
  partition: number,
  runId: string,
): Promise<Placed[]> {
  for (let attempt = 1; ; attempt++) {
    const cursor = await readCursor(db, partition);
    const archived = await readJournal(db, runId);
    const placed = archived.map(({ position, t, transition }) => ({ position, tMs: t, transition }));
    const from = cursor === null || cursor.streamId === "" ? "0-0" : cursor.streamId;
    const hot = await readStream(redis, partition, runId, from, (cursor?.seq ?? 0) + 1);
    if (hot !== null) {
      const last = placed.at(-1)?.position ?? "0.-1";
      placed.push(...hot.filter(({ position }) => comparePositions(position, last) > 0));
      return placed;
    }
    if (attempt === TRIES) {
      throw new Error(`the journal of partition ${partition} moves faster than it can be read`);
    }
  }
}

/** The run's transitions after `from`; null if the stream does not begin at `seq` or before. */
async function readStream(
  redis: Redis,
  partition: number,
  runId: string,
  from: string,
  seq: number,
): Promise<Placed[] | null> {
  const { ev } = partitionKeys(partition);
  const placed: Placed[] = [];
  let after = from;
  for (let page = 0; ; page++) {
    const entries = await redis.xrange(ev, `(${after}`, "+", "COUNT", PAGE);
    for (const [id, fields] of entries) {
      const record = parseJournalRecord(id, fields);
      if (page === 0 && placed.length === 0 && id === entries[0]?.[0] && record.seq > seq) {
        return null;
      }
      record.transitions.forEach((transition, index) => {
        if (transition.r === runId) {
          placed.push({ position: positionOf(record.seq, index), tMs: record.t, transition });
        }
      });
      after = id;
    }
    if (entries.length < PAGE) {
      return placed;
    }
  }
}
