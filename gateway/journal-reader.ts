/**
 * Reads one partition's journal stream as it grows and hands its records on.
 *
 * Records are a chain: each names the one before. When one does not continue the last (this reader
 * was away while the stream was trimmed, or Redis lost data and the partition was rebuilt), what
 * lies between is unknown, and whoever listens is told so before it hears the next record.
 */
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import {
  connectRedis,
  mayConcern,
  parseJournalRecord,
  partitionKeys,
  readJournalText,
  type JournalRecord,
} from "../sdk/internal.ts";

export interface JournalReaderOptions {
  redisUrl: string;
  partition: number;
  logger: Logger;
  /** Runs that somebody watches: records without any of them are not parsed. */
  watched: { has(runId: string): boolean };
  onRecord: (record: JournalRecord) => void;
  /** The chain is broken: state from before it is not the state before the next record. */
  onBreak: () => void;
}

interface Link {
  seq: number;
  nonce: string;
}

const BLOCK_MS = 1000;
const RETRY_MS = 200;
/** Records differ in size by a factor of thousands, and Redis counts them. */
const PAGE = 32;

export class JournalReader {
  readonly #o: JournalReaderOptions;
  readonly #redis: Redis;
  readonly #stream: string;
  #last: Link | null = null;
  #loop: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: JournalReaderOptions) {
    const { redisUrl, partition } = options;
    this.#o = options;
    this.#stream = partitionKeys(partition).ev;
    this.#redis = connectRedis({ url: redisUrl }, `gateway:${partition}`, { at: this.#stream });
  }

  /** Number of the last record that was heard; 0: none was. */
  get heard(): number {
    return this.#last?.seq ?? 0;
  }

  /** Begins behind what is in the stream now. */
  async start(): Promise<void> {
    const [newest] = await this.#redis.xrevrange(this.#stream, "+", "-", "COUNT", 1);
    this.#last = newest === undefined ? null : linkOf(newest[1]);
    this.#loop = this.#read(newest?.[0] ?? "0-0");
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#redis.disconnect();
    await this.#loop;
  }

  async #read(from: string): Promise<void> {
    let after = from;
    while (!this.#isStopped) {
      try {
        const args = ["COUNT", PAGE, "BLOCK", BLOCK_MS, "STREAMS", this.#stream, after] as const;
        const reply = await this.#redis.xread(...args);
        for (const [id, fields] of reply?.[0]?.[1] ?? []) {
          after = id;
          this.#take(id, fields);
        }
        if (reply === null && (await this.#isBehind(after))) {
          after = "0-0";
        }
      } catch (error) {
        if (!this.#isStopped) {
          this.#o.logger.warn({ err: error, partition: this.#o.partition }, "journal not read");
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      }
    }
  }

  /**
   * Whether the whole stream lies before `after`. Redis names entries by its clock: of a stream that
   * began anew under a clock that is behind, nothing would be heard until that has caught up.
   */
  async #isBehind(after: string): Promise<boolean> {
    const [newest] = await this.#redis.xrevrange(this.#stream, "+", "-", "COUNT", 1);
    return newest !== undefined && compareIds(newest[0], after) < 0;
  }

  #take(id: string, fields: readonly string[]): void {
    const last = this.#last;
    const link = linkOf(fields);
    this.#last = link;
    const isNext = last === null || (link.seq === last.seq + 1 && link.prev === last.nonce);
    if (!isNext) {
      const { logger, partition } = this.#o;
      logger.warn({ partition, last, found: link }, "the journal's chain is broken: reading anew");
      this.#o.onBreak();
    }
    if (mayConcern(readJournalText(id, fields).body, this.#o.watched)) {
      this.#o.onRecord(parseJournalRecord(id, fields));
    }
  }
}

/** Ids of a stream: `<ms>-<number>`. */
function compareIds(a: string, b: string): number {
  const [[aMs = 0, aNumber = 0], [bMs = 0, bNumber = 0]] = [a, b].map((id) =>
    id.split("-").map(Number),
  ) as [number[], number[]];
  return aMs - bMs || aNumber - bNumber;
}

/** A record's place in the chain, without the work of parsing its transitions. */
function linkOf(fields: readonly string[]): Link & { prev: string } {
  const member = (name: string): string => {
    const at = fields.findIndex((field, i) => i % 2 === 0 && field === name);
    return at < 0 ? "" : (fields[at + 1] ?? "");
  };
  return { seq: Number(member("seq")), nonce: member("nonce"), prev: member("prev") };
}
