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
 *
 * The stream is of all runs of its partition, and long when Postgres is slow: just when many look. So
 * those who ask while it is read for others share the next read, and a record in which none of their
 * runs is named is not taken apart.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Redis } from "ioredis";
import {
  comparePositions,
  GavotteError,
  mayConcern,
  partitionKeys,
  positionOf,
  readJournalText,
  type Transition,
} from "../sdk/internal.ts";
import { readCursor, readJournal, type Cursor, type Database } from "../sdk/postgres/index.ts";

export interface Placed {
  position: string;
  tMs: number;
  transition: Transition;
}

/** Records differ in size by a factor of thousands, and Redis counts them. */
const PAGE = 32;
/** Runs whose histories are read, and held, together. */
const RUNS_MAX = 100;
/** With the pauses between them some 5 s: what Redis has lost is rebuilt by then, and archived. */
const TRIES = 15;
const PAUSE_MS_MAX = 500;

/** One look at the stream, for some runs; open to more until it begins. */
interface Look {
  runIds: Set<string>;
  seen: Promise<Seen>;
}

interface Seen {
  archived: ReadonlyMap<string, Promise<Placed[]>>;
  /** Null: the stream has a gap. */
  hot: Hot | null;
}

interface Hot {
  byRun: ReadonlyMap<string, Placed[]>;
  /** The last record that this or the archive has. */
  until: number;
}

/** Reads the histories of one partition's runs. */
export class Histories {
  readonly #db: Database;
  readonly #redis: Redis;
  readonly #partition: number;
  /** The last look that was asked for, which may have begun. */
  #last: Look | null = null;

  constructor(db: Database, redis: Redis, partition: number) {
    this.#db = db;
    this.#redis = redis;
    this.#partition = partition;
  }

  /**
   * All transitions of a run in order, up to record `heard` at least: the last that was heard live
   * before this was asked, 0 if none was. Throws GV_HISTORY_BEHIND, GV_HISTORY_MOVING.
   */
  async read(runId: string, heard = 0): Promise<Placed[]> {
    for (let attempt = 1; ; attempt++) {
      const { archived, hot } = await this.#look(runId);
      const placed = (await archived.get(runId)) ?? [];
      if (hot !== null && hot.until >= heard) {
        const last = placed.at(-1)?.position ?? "0.-1";
        const more = hot.byRun.get(runId) ?? [];
        return [...placed, ...more.filter(({ position }) => comparePositions(position, last) > 0)];
      }
      if (attempt === TRIES) {
        throw notRead(this.#partition, hot !== null);
      }
      await pause(Math.min(5 * 2 ** attempt, PAUSE_MS_MAX));
    }
  }

  /** A look that begins after this was asked. One is under way at a time. */
  #look(runId: string): Promise<Seen> {
    const last = this.#last;
    const isOpen = last !== null && last.runIds.size > 0 && last.runIds.size < RUNS_MAX;
    const look: Look = isOpen ? last : { runIds: new Set(), seen: Promise.resolve() as never };
    look.runIds.add(runId);
    if (!isOpen) {
      const former = last?.seen ?? Promise.resolve();
      look.seen = former
        .catch(() => undefined)
        .then(() => this.#begin(look))
        .finally(() => {
          this.#last = this.#last === look ? null : this.#last; // it holds histories
        });
      this.#last = look;
    }
    return look.seen;
  }

  async #begin(look: Look): Promise<Seen> {
    const { runIds } = look;
    look.runIds = new Set(); // it takes nobody any more
    const cursor = await readCursor(this.#db, this.#partition);
    const archived = new Map([...runIds].map((id) => [id, this.#archived(id)]));
    // Whoever asked for one hears that it cannot be read; the others go on.
    const [hot] = await Promise.all([
      this.#readStream(runIds, cursor),
      Promise.allSettled(archived.values()),
    ]);
    return { archived, hot };
  }

  async #archived(runId: string): Promise<Placed[]> {
    const archived = await readJournal(this.#db, runId);
    return archived.map(({ position, t, transition }) => ({ position, tMs: t, transition }));
  }

  /** Their transitions after the cursor; null: the stream has a gap, which may come between pages. */
  async #readStream(runIds: ReadonlySet<string>, cursor: Cursor | null): Promise<Hot | null> {
    const { ev } = partitionKeys(this.#partition);
    const byRun = new Map<string, Placed[]>();
    let after = cursor === null || cursor.streamId === "" ? "0-0" : cursor.streamId;
    let next = (cursor?.seq ?? 0) + 1;
    for (let isFirst = true; ; isFirst = false) {
      const entries = await this.#redis.xrange(ev, `(${after}`, "+", "COUNT", PAGE);
      for (const [id, fields] of entries) {
        const { seq, t, body } = readJournalText(id, fields);
        if (seq > next) {
          return null;
        }
        next = seq + 1;
        after = id;
        for (const [place, transition] of transitionsIn(body, runIds).entries()) {
          if (runIds.has(transition.r)) {
            const placed = { position: positionOf(seq, place), tMs: t, transition };
            const list = byRun.get(transition.r);
            void (list === undefined ? byRun.set(transition.r, [placed]) : list.push(placed));
          }
        }
      }
      if (entries.length < PAGE) {
        const isWhole = !isFirst || entries.length > 0 || (await this.#isStill(cursor));
        return isWhole ? { byRun, until: next - 1 } : null;
      }
    }
  }

  async #isStill(before: Cursor | null): Promise<boolean> {
    const now = await readCursor(this.#db, this.#partition);
    return now?.seq === before?.seq && now?.epoch === before?.epoch;
  }
}

/** Why a history cannot be told now; `isRead`: what was heard live is not in it. */
function notRead(partition: number, isRead: boolean): GavotteError {
  const journal = `the journal of partition ${partition}`;
  const again = "ask again when the archive has caught up";
  return isRead
    ? new GavotteError("GV_HISTORY_BEHIND", `${journal} ends before what was heard of it: ${again}`)
    : new GavotteError(
        "GV_HISTORY_MOVING",
        `${journal} moves faster than it can be read: ${again}`,
      );
}

const NONE: readonly Transition[] = [];

/** The transitions of a record, if some of them may be of these runs. */
function transitionsIn(body: string, runIds: ReadonlySet<string>): readonly Transition[] {
  return mayConcern(body, runIds) ? (JSON.parse(body) as Transition[]) : NONE;
}
