/**
 * A run's journal up to now: what Postgres has archived, then what still stands in the stream.
 *
 * The cursor is read first, so everything up to it is in Postgres; the stream is read from the
 * cursor on. If the archiver moved on and trimmed in between, the stream's first record no longer
 * continues the cursor, or nothing is left and the cursor stands elsewhere: then the whole is read
 * again.
 *
 * Who hears the stream live as well says how far that has come. A history that ends before would leave
 * a hole: Redis was emptied meanwhile, and the archiver may still have in hand what lay in between.
 * It is read again until it has it, or until what comes next is heard to be no continuation.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Redis } from "ioredis";
import {
  comparePositions,
  parseJournalRecord,
  partitionKeys,
  positionOf,
  type Transition,
} from "../sdk/internal.ts";
import { readCursor, readJournal, type Cursor, type Database } from "../sdk/postgres/index.ts";

export interface Placed {
  position: string;
  tMs: number;
  transition: Transition;
}

const PAGE = 500;
/** With the pauses between them some 5 s: what Redis has lost is rebuilt by then, and archived. */
const TRIES = 15;
const PAUSE_MS_MAX = 500;

/**
 * All transitions of a run in order, up to record `heard` at least: the last that was heard live before
 * this was asked, 0 if none was.
 */
export async function readHistory(
  db: Database,
  redis: Redis,
  partition: number,
  runId: string,
  heard = 0,
): Promise<Placed[]> {
  for (let attempt = 1; ; attempt++) {
    const cursor = await readCursor(db, partition);
    const archived = await readJournal(db, runId);
    const placed = archived.map(({ position, t, transition }) => ({
      position,
      tMs: t,
      transition,
    }));
    const from = cursor === null || cursor.streamId === "" ? "0-0" : cursor.streamId;
    const seq = (cursor?.seq ?? 0) + 1;
    const hot = await readStream(redis, partition, { runId, from, seq });
    const isWhole = hot !== null && (hot.isEmpty ? await isStill(db, partition, cursor) : true);
    if (isWhole && hot.until >= heard) {
      const last = placed.at(-1)?.position ?? "0.-1";
      placed.push(...hot.placed.filter(({ position }) => comparePositions(position, last) > 0));
      return placed;
    }
    if (attempt === TRIES) {
      const why = isWhole ? "ends before what was heard of it" : "moves faster than it can be read";
      throw new Error(`the journal of partition ${partition} ${why}`);
    }
    await pause(Math.min(5 * 2 ** attempt, PAUSE_MS_MAX));
  }
}

async function isStill(db: Database, partition: number, before: Cursor | null): Promise<boolean> {
  const now = await readCursor(db, partition);
  return now?.seq === before?.seq && now?.epoch === before?.epoch;
}

interface Hot {
  placed: Placed[];
  /** There was nothing in the stream, of any run. */
  isEmpty: boolean;
  /** The last record that this or the archive has. */
  until: number;
}

/**
 * The run's transitions after `from`, where record `seq` follows; null if the stream has a gap: it
 * may be trimmed between two pages, too.
 */
async function readStream(
  redis: Redis,
  partition: number,
  { runId, from, seq }: { runId: string; from: string; seq: number },
): Promise<Hot | null> {
  const { ev } = partitionKeys(partition);
  const placed: Placed[] = [];
  let after = from;
  let next = seq;
  for (let page = 0; ; page++) {
    const entries = await redis.xrange(ev, `(${after}`, "+", "COUNT", PAGE);
    for (const [id, fields] of entries) {
      const record = parseJournalRecord(id, fields);
      if (record.seq > next) {
        return null;
      }
      next = record.seq + 1;
      record.transitions.forEach((transition, place) => {
        if (transition.r === runId) {
          placed.push({ position: positionOf(record.seq, place), tMs: record.t, transition });
        }
      });
      after = id;
    }
    if (entries.length < PAGE) {
      return { placed, isEmpty: page === 0 && entries.length === 0, until: next - 1 };
    }
  }
}
