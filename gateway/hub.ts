/**
 * The live runs of one gateway: hears every partition's journal once and hands each transition to
 * the feed of its run, if anybody watches it.
 *
 * A feed lives as long as somebody watches it or is about to: users are counted from the moment
 * they ask, so that one who leaves does not take the feed away from one who is still coming.
 */
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import {
  connectRedis,
  GavotteError,
  partitionOf,
  positionOf,
  type JournalRecord,
} from "../sdk/internal.ts";
import {
  definitionsByHash,
  endedAmong,
  endedOrBegun,
  readRun,
  type Database,
  type EndOrBegin,
} from "../sdk/postgres/index.ts";
import type { Ir } from "../compiler/ir.ts";
import { Ends } from "./ends.ts";
import { Histories, type Placed } from "./history.ts";
import { JournalReader } from "./journal-reader.ts";
import { RunFeed, type Place, type Watcher } from "./run-feed.ts";

export interface HubOptions {
  redisUrl: string;
  db: Database;
  partitions: number;
  logger: Logger;
}

class Entry {
  users = 0;
  /** The feed as soon as it exists, history read or not: what the stream is matched with. */
  live: RunFeed | null = null;
  readonly feed: Promise<RunFeed>;

  constructor(open: (entry: Entry) => Promise<RunFeed>) {
    this.feed = open(this);
  }
}

const RETRY_MS = 200;
/** Between two looks for ends that the stream has told, and for those that it never will. */
const ARCHIVED_MS = 20;
const UNBEGUN_MS = 100;

export class Hub {
  readonly #o: HubOptions;
  readonly #commands: Redis;
  readonly #readers: JournalReader[];
  readonly #histories: Histories[];
  readonly #entries = new Map<string, Entry>();
  readonly #ends: Ends<{ id: string; endedAtMs: number }>;
  readonly #unbegun: Ends<EndOrBegin>;
  #isStopped = false;

  constructor(options: HubOptions) {
    const { redisUrl, db, partitions, logger } = options;
    this.#o = options;
    this.#ends = new Ends((ids) => endedAmong(db, ids), ARCHIVED_MS, logger);
    this.#unbegun = new Ends((ids) => endedOrBegun(db, ids), UNBEGUN_MS, logger);
    this.#commands = connectRedis({ url: redisUrl }, "gateway");
    this.#histories = Array.from(
      { length: partitions },
      (_, partition) => new Histories(db, this.#commands, partition),
    );
    this.#readers = Array.from({ length: partitions }, (_, partition) => {
      return new JournalReader({
        ...{ redisUrl, partition, logger },
        watched: this.#entries,
        onRecord: (record) => this.#dispatch(record),
        onBreak: () => this.#restart(partition),
      });
    });
  }

  async start(): Promise<void> {
    await this.#commands.connect();
    await Promise.all(this.#readers.map((reader) => reader.start()));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    const ends = [this.#ends, this.#unbegun];
    await Promise.all([...this.#readers, ...ends].map((one) => one.stop()));
    this.#commands.disconnect();
  }

  /** Runs that are watched, and by how many. */
  get watched(): { runs: number; subscriptions: number } {
    let subscriptions = 0;
    this.#entries.forEach(({ users }) => (subscriptions += users));
    return { runs: this.#entries.size, subscriptions };
  }

  /** Whether Redis answers. */
  async ping(): Promise<void> {
    await this.#commands.ping();
  }

  /** Begins to watch, after `from` or with a snapshot. Throws GV_RUN_NOT_FOUND. */
  async watch(runId: string, watcher: Watcher, from: Place | null): Promise<RunFeed> {
    const entry = this.#enter(runId);
    try {
      const feed = await entry.feed;
      if (from === null) {
        feed.watch(watcher);
      } else {
        await feed.resume(watcher, from, () => this.#history(runId));
      }
      return feed;
    } catch (error) {
      this.#leave(runId, entry);
      throw error;
    }
  }

  /** Ends watching; to be called once for each `watch` that has succeeded. */
  unwatch(feed: RunFeed, watcher: Watcher): void {
    feed.unwatch(watcher);
    const entry = this.#entries.get(feed.runId);
    if (entry?.live === feed) {
      this.#leave(feed.runId, entry);
    }
  }

  #enter(runId: string): Entry {
    let entry = this.#entries.get(runId);
    if (entry === undefined) {
      entry = new Entry((opened) => this.#open(runId, opened));
      this.#entries.set(runId, entry);
    }
    entry.users++;
    return entry;
  }

  #leave(runId: string, entry: Entry): void {
    if (--entry.users === 0 && this.#entries.get(runId) === entry) {
      this.#entries.delete(runId);
      this.#ends.forget(runId);
      this.#unbegun.forget(runId);
    }
  }

  async #open(runId: string, entry: Entry): Promise<RunFeed> {
    const row = await readRun(this.#o.db, runId);
    const [definition] = row === null ? [] : await definitionsByHash(this.#o.db, [row.irHash]);
    if (row === null || definition === undefined) {
      throw new GavotteError("GV_RUN_NOT_FOUND", `there is no run ${runId}`);
    }
    const ir = JSON.parse(definition.ir) as Ir;
    const feed = new RunFeed(
      runId,
      ir,
      async (id) => (await this.#ends.when(id)).endedAtMs,
      (id) => this.#unbegun.when(id),
    );
    entry.live = feed;
    await feed.load(() => this.#history(runId));
    return feed;
  }

  #history(runId: string): Promise<Placed[]> {
    const partition = this.#partitionOf(runId);
    const heard = this.#readers[partition]?.heard ?? 0;
    return (this.#histories[partition] as Histories).read(runId, heard);
  }

  #partitionOf(runId: string): number {
    return partitionOf(runId, this.#o.partitions);
  }

  #dispatch(record: JournalRecord): void {
    record.transitions.forEach((transition, index) => {
      const feed = this.#entries.get(transition.r)?.live;
      feed?.take({ position: positionOf(record.seq, index), tMs: record.t, transition });
    });
  }

  /** The partition's journal does not continue what was heard: its feeds begin anew. */
  #restart(partition: number): void {
    for (const [runId, entry] of this.#entries) {
      if (entry.live !== null && this.#partitionOf(runId) === partition) {
        void this.#readAnew(runId, entry, entry.live);
      }
    }
  }

  async #readAnew(runId: string, entry: Entry, feed: RunFeed): Promise<void> {
    while (!this.#isStopped && this.#entries.get(runId) === entry) {
      try {
        await feed.load(() => this.#history(runId));
        return;
      } catch (error) {
        this.#o.logger.warn({ err: error, run: runId }, "a run's journal cannot be read anew");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
}
