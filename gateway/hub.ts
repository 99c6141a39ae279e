/**
 * The live runs of one gateway: reads every partition's journal stream once and hands each
 * transition to the feed of its run, if anybody watches it.
 */
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import {
  connectRedis,
  GavotteError,
  parseJournalRecord,
  partitionKeys,
  partitionOf,
  positionOf,
} from "../sdk/internal.ts";
import { definitionsByHash, readRun, type Database } from "../sdk/postgres/index.ts";
import type { Ir } from "../compiler/ir.ts";
import { readHistory } from "./history.ts";
import { RunFeed, type Watcher } from "./run-feed.ts";

export interface HubOptions {
  redisUrl: string;
  db: Database;
  partitions: number;
  logger: Logger;
}

const BLOCK_MS = 1000;
const RETRY_MS = 200;
const PAGE = 200;

export class Hub {
  readonly #o: HubOptions;
  readonly #commands: Redis;
  readonly #readers: Redis[] = [];
  readonly #feeds = new Map<string, Promise<RunFeed>>();
  /** Feeds by run as soon as they exist, history read or not: what the stream is matched with. */
  readonly #live = new Map<string, RunFeed>();
  #loops: Promise<void>[] = [];
  #isStopped = false;

  constructor(options: HubOptions) {
    this.#o = options;
    this.#commands = connectRedis({ url: options.redisUrl }, "gateway");
  }

  async start(): Promise<void> {
    await this.#commands.connect();
    for (let partition = 0; partition < this.#o.partitions; partition++) {
      const reader = connectRedis({ url: this.#o.redisUrl }, `gateway:${partition}`);
      await reader.connect();
      this.#readers.push(reader);
      const last = await reader.xrevrange(partitionKeys(partition).ev, "+", "-", "COUNT", 1);
      this.#loops.push(this.#read(partition, reader, last[0]?.[0] ?? "0-0"));
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#readers.splice(0).forEach((reader) => reader.disconnect());
    await Promise.all(this.#loops.splice(0));
    this.#commands.disconnect();
  }

  /** Whether Redis answers. */
  async ping(): Promise<void> {
    await this.#commands.ping();
  }

  /** Begins to watch; throws GV_RUN_NOT_FOUND. */
  async watch(runId: string, watcher: Watcher, from: string | null): Promise<RunFeed> {
    const feed = await this.#feed(runId);
    const history = from === null ? null : await this.#history(runId);
    feed.watch(watcher, from === null || history === null ? null : { from, history });
    return feed;
  }

  /** Ends watching; a feed that nobody watches is forgotten. */
  unwatch(feed: RunFeed, watcher: Watcher): void {
    feed.unwatch(watcher);
    if (feed.isIdle) {
      this.#feeds.delete(feed.runId);
      this.#live.delete(feed.runId);
    }
  }

  #feed(runId: string): Promise<RunFeed> {
    let feed = this.#feeds.get(runId);
    if (feed === undefined) {
      feed = this.#open(runId);
      this.#feeds.set(runId, feed);
      feed.catch(() => this.#feeds.delete(runId));
    }
    return feed;
  }

  async #open(runId: string): Promise<RunFeed> {
    const row = await readRun(this.#o.db, runId);
    const [definition] = row === null ? [] : await definitionsByHash(this.#o.db, [row.irHash]);
    if (row === null || definition === undefined) {
      throw new GavotteError("GV_RUN_NOT_FOUND", `there is no run ${runId}`);
    }
    const feed = new RunFeed(runId, JSON.parse(definition.ir) as Ir);
    this.#live.set(runId, feed);
    feed.begin(await this.#history(runId));
    return feed;
  }

  #history(runId: string): ReturnType<typeof readHistory> {
    const partition = partitionOf(runId, this.#o.partitions);
    return readHistory(this.#o.db, this.#commands, partition, runId);
  }

  async #read(partition: number, reader: Redis, from: string): Promise<void> {
    const { ev } = partitionKeys(partition);
    let after = from;
    while (!this.#isStopped) {
      try {
        const args = ["COUNT", PAGE, "BLOCK", BLOCK_MS, "STREAMS", ev, after] as const;
        const reply = await reader.xread(...args);
        for (const [id, fields] of reply?.[0]?.[1] ?? []) {
          after = id;
          this.#dispatch(id, fields);
        }
      } catch (error) {
        if (!this.#isStopped) {
          this.#o.logger.warn({ err: error, partition }, "journal not read");
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      }
    }
  }

  #dispatch(id: string, fields: string[]): void {
    if (this.#live.size === 0) {
      return; // nobody watches anything: not worth parsing
    }
    const record = parseJournalRecord(id, fields);
    record.transitions.forEach((transition, index) => {
      const feed = this.#live.get(transition.r);
      feed?.take({ position: positionOf(record.seq, index), tMs: record.t, transition });
    });
  }
}
