/**
 * The archiver of a partition: copies the journal into Postgres, exactly once, and finalises runs.
 *
 * Exactly once, because the copy and the cursor move in one transaction, and the cursor moves only
 * from where this archiver read it: two archivers, a repeated block or a commit whose answer was
 * lost end in a cursor that stands elsewhere, and the transaction is rolled back. The role's lock
 * only saves work. A record is accepted only if it continues the cursor's chain, so a Redis that
 * was rolled back cannot pass, whatever its stream ids look like.
 *
 * Here is where the cursor stands and what is read next; what is done with a block is in
 * archive-block.ts. The next block is read while the last one is committed. After the commit the
 * stream is trimmed to a bounded tail (stream-tail.ts).
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Redis } from "ioredis";
import { partitionKeys, type PartitionKeys } from "../sdk/internal.ts";
import { readCursor, type Cursor } from "../sdk/postgres/index.ts";
import { BlockArchive, type BlockListeners } from "./archive-block.ts";
import { BegunRows } from "./begun-rows.ts";
import { ChainBreak, readBlock, type Block } from "./block-reader.ts";
import { BlobsLost } from "./blobs.ts";
import type { Certifier } from "./certify.ts";
import { CursorMoved } from "./commit-block.ts";
import type { SupervisorContext } from "./context.ts";
import { Loop } from "./loop.ts";
import { RunRepairs } from "./run-repairs.ts";
import { StreamTail } from "./stream-tail.ts";

/**
 * Under load the next block is gathered for so long: one row stands for all that a run did in a
 * block, so fewer blocks mean fewer rows (measured: 11 rows a run of ten steps without, 2 with it).
 * A block of fewer characters than LOAD_CHARS is no load, and nothing waits.
 */
const LINGER_MS = 60;
const LOAD_CHARS = 30_000;
/** Nothing has come for so long: the partition is quiet. After load it is asked sooner. */
const QUIET_MS = 1000;
const AFTER_LOAD_MS = 200;
const CERTIFICATE_WAIT_MS = 50;

export interface ArchiverOptions extends BlockListeners {
  context: SupervisorContext;
  partition: number;
  certifier: Certifier;
}

export class Archiver extends Loop {
  readonly #options: ArchiverOptions;
  readonly #keys: PartitionKeys;
  readonly #redis: Redis;
  readonly #begun: BegunRows;
  readonly #repairs: RunRepairs;
  readonly #blocks: BlockArchive;
  readonly #tail: StreamTail;

  constructor(options: ArchiverOptions) {
    const { context, partition } = options;
    const redis = context.openRedis(`archiver ${partition}`, partitionKeys(partition).ev);
    super({
      name: `archive ${partition}`,
      logger: context.logger,
      step: (signal) => this.#step(signal),
      interrupt: () => redis.disconnect(),
    });
    // Whoever had the role before may have archived more than was known here. One that is given up is
    // not forgotten: while Postgres is away nobody archives any further.
    context.counts.cursors.delete(partition);
    this.#options = options;
    this.#redis = redis;
    this.#keys = partitionKeys(partition);
    this.#begun = new BegunRows(context, partition);
    this.#repairs = new RunRepairs(context, partition);
    this.#blocks = new BlockArchive({ ...options, begun: this.#begun, repairs: this.#repairs });
    this.#tail = new StreamTail(context, this.#keys);
  }

  async #step(signal: AbortSignal): Promise<number> {
    const { context, partition, certifier } = this.#options;
    if (certifier.epoch === null) {
      return CERTIFICATE_WAIT_MS;
    }
    const cursor = await readCursor(context.db, partition);
    if (cursor === null || cursor.epoch !== certifier.epoch) {
      return CERTIFICATE_WAIT_MS;
    }
    try {
      await this.#session(cursor, signal);
    } catch (error) {
      if (error instanceof ChainBreak) {
        await certifier.rollBack(cursor.epoch, error.message);
      } else if (error instanceof BlobsLost) {
        return CERTIFICATE_WAIT_MS; // the certifier's business
      } else if (!(error instanceof CursorMoved)) {
        throw error;
      }
    }
    return 0;
  }

  /** Archives from `cursor` on, until it breaks, moves, or the service stops. */
  async #session(from: Cursor, signal: AbortSignal): Promise<void> {
    const { certifier, context, partition } = this.#options;
    await this.#repairs.sweep();
    await this.#begun.begin();
    await this.#tail.trimOld(from);
    let cursor = from;
    context.counts.cursors.set(partition, cursor);
    let next = this.#readAhead(cursor);
    while (!signal.aborted && certifier.epoch === cursor.epoch) {
      const block = await next;
      if (block === null) {
        await this.#begun.flush(cursor);
        await this.#compareTail(cursor);
        await this.#tail.trimOld(cursor);
        await this.#repairs.sweep();
        next = this.#readAhead(cursor);
        continue;
      }
      const isLoad = block.chars > LOAD_CHARS;
      next = this.#readAhead(block.to, isLoad, isLoad && !block.hasMore ? LINGER_MS : 0);
      await this.#blocks.add(cursor, block, isLoad, signal);
      cursor = block.to;
      context.counts.cursors.set(partition, cursor);
      this.#tail.add(block);
    }
  }

  /** A read whose failure is seen when it is awaited, which may be after the next commit or never. */
  #readAhead(cursor: Cursor, isLoad = false, lingerMs = 0): Promise<Block | null> {
    const waitMs = isLoad ? AFTER_LOAD_MS : QUIET_MS;
    const read = (): Promise<Block | null> => readBlock(this.#redis, this.#keys.ev, cursor, waitMs);
    const block = lingerMs > 0 ? pause(lingerMs).then(read) : read();
    block.catch(() => undefined);
    return block;
  }

  /** When idle: records that are not behind the cursor's stream id would never be read. */
  async #compareTail({ epoch, seq, streamId, nonce }: Cursor): Promise<void> {
    const { redis } = this.#options.context;
    const { meta, ev } = this.#keys;
    const [epochNow, nonceNow] = await redis.hmget(meta, "epoch", "nonce");
    if (epochNow !== String(epoch)) {
      throw new CursorMoved(); // the certifier's business
    }
    if (nonceNow === nonce) {
      return;
    }
    const late = await redis.xrange(ev, `(${streamId}`, "+", "COUNT", 1);
    if (late.length === 0) {
      throw new ChainBreak(`the tail is not record ${seq}, and nothing follows it`);
    }
  }
}
