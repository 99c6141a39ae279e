/**
 * Reading the journal's hot end in blocks that one transaction can take.
 *
 * A block is bounded by its weight, which is its text and the large outputs that it refers to: the
 * archiver holds one that it commits and one that it reads, and Postgres answers a message of 1 GiB
 * by dropping the connection, as if it were away. Redis counts records, which differ in size by a
 * factor of thousands. So a block is read in small pages until it is heavy enough; what is too much
 * of the last page is read again.
 */
import type { Redis } from "ioredis";
import { blobBytesIn } from "../sdk/internal.ts";
import type { Cursor } from "../sdk/postgres/index.ts";
import { readRecord, type RawRecord } from "./records.ts";

const RECORDS_MAX = 500;
const PAGE_RECORDS = 32;
/** Nothing is added to a block that weighs this much. */
const WEIGHT_AIM = 8_000_000;
/** A block of several records weighs no more. */
export const BLOCK_WEIGHT_MAX = 64_000_000;

export interface Block {
  records: RawRecord[];
  to: Cursor;
  /** Of the records' text. */
  chars: number;
  /** What follows it can be read at once. */
  hasMore: boolean;
}

/** The records do not continue the cursor. */
export class ChainBreak extends Error {}

/** The next block after `from`; null if nothing came within `waitMs`. Throws ChainBreak. */
export async function readBlock(
  redis: Redis,
  ev: string,
  from: Cursor,
  waitMs: number,
): Promise<Block | null> {
  const block: Block = { records: [], to: from, chars: 0, hasMore: false };
  let weight = 0;
  const first = ["COUNT", PAGE_RECORDS, "BLOCK", waitMs, "STREAMS", ev, from.streamId] as const;
  let page = (await redis.xread(...first))?.[0]?.[1] ?? [];
  for (;;) {
    for (const [streamId, fields] of page) {
      const record = continuing(block, streamId, fields);
      weight += record === null ? 0 : record.body.length + blobBytesIn(record.body);
      if (record === null || (weight > BLOCK_WEIGHT_MAX && block.records.length > 0)) {
        return { ...block, hasMore: true };
      }
      add(block, record);
    }
    block.hasMore = page.length === PAGE_RECORDS;
    if (!block.hasMore || weight >= WEIGHT_AIM || block.records.length >= RECORDS_MAX) {
      return block.records.length > 0 ? block : null;
    }
    const next = ["COUNT", PAGE_RECORDS, "STREAMS", ev, block.to.streamId] as const;
    page = (await redis.xread(...next))?.[0]?.[1] ?? [];
  }
}

function add(block: Block, record: RawRecord): void {
  const { seq, nonce, streamId } = record;
  block.records.push(record);
  block.chars += record.body.length;
  block.to = { ...block.to, seq, nonce, streamId };
}

/** The records of a block, each as a block. */
export function recordsOf({ records, to }: Block): Block[] {
  return records.map((record) => {
    const one: Block = { records: [], to, chars: 0, hasMore: true };
    add(one, record);
    return one;
  });
}

/** The record that this entry is; null if the chain breaks at it and a block comes before. */
function continuing({ records, to }: Block, streamId: string, fields: string[]): RawRecord | null {
  const record = readRecord(streamId, fields);
  if (record !== null && record.seq === to.seq + 1 && record.prev === to.nonce) {
    return record;
  }
  // What is in order before the break is archived first; the next read meets the break.
  if (records.length > 0) {
    return null;
  }
  throw new ChainBreak(`entry ${streamId} does not continue record ${to.seq}`);
}
