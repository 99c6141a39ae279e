import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { blobText } from "../sdk/internal.ts";
import type { Cursor } from "../sdk/postgres/index.ts";
import { openTestPartition, type TestPartition } from "../test/harness/partition.ts";
import { BLOCK_WEIGHT_MAX, ChainBreak, readBlock, type Block } from "./block-reader.ts";

const START: Cursor = { partition: 0, epoch: 1, seq: 0, nonce: "n0", streamId: "0-0" };
const RECORDS_MAX = 531; // 500, and what the page that reaches them has beyond

let p: TestPartition;
let seq: number;
beforeAll(async () => {
  p = await openTestPartition();
});
beforeEach(async () => {
  await p.reset();
  seq = 0;
});
afterAll(() => p.close());

/** Records that continue the chain. */
async function append(count: number, body: string): Promise<void> {
  for (let i = 0; i < count; i++) {
    seq++;
    const chain = ["seq", `${seq}`, "nonce", `n${seq}`, "prev", `n${seq - 1}`];
    await p.redis.xadd(p.scripts.keys.ev, "*", "v", "1", ...chain, "t", "1", "b", body);
  }
}

const readFrom = (from: Cursor): Promise<Block | null> =>
  readBlock(p.scripts.redis, p.scripts.keys.ev, from, 1000);

/** Blocks up to the stream's end, each from where the one before ended. */
async function readAll(): Promise<Block[]> {
  const blocks: Block[] = [];
  for (let from = START; from.seq < seq;) {
    const block = (await readFrom(from)) as Block;
    blocks.push(block);
    from = block.to;
  }
  return blocks;
}

function expectEachOnce(blocks: readonly Block[]): void {
  const seqs = blocks.flatMap(({ records }) => records.map((record) => record.seq));
  expect(seqs).toEqual(Array.from({ length: seq }, (_, i) => i + 1));
}

describe("a block of the journal", () => {
  it("is bounded in records, and says whether more can be read at once", async () => {
    await append(1200, "[]");
    const blocks = await readAll();
    expectEachOnce(blocks);
    blocks.forEach(({ records }) => expect(records.length).toBeLessThanOrEqual(RECORDS_MAX));
    expect(blocks.map(({ hasMore }) => hasMore)).toEqual([true, true, false]);
  });

  it("is bounded in text, also where large records follow small ones", async () => {
    await append(30, "[]");
    await append(30, `["${"x".repeat(2_400_000)}"]`);
    const blocks = await readAll();
    expectEachOnce(blocks);
    blocks.forEach(({ chars }) => expect(chars).toBeLessThanOrEqual(BLOCK_WEIGHT_MAX));
    // What is too much of a page is read again: no more often than it has to be.
    expect(blocks.length).toBeLessThanOrEqual(4);
  });

  it("weighs what it refers to, too", async () => {
    const bytes = BLOCK_WEIGHT_MAX / 3.5;
    await append(9, `[{"o":${blobText({ sha256: "a".repeat(64), bytes: Math.floor(bytes) })}}]`);
    const blocks = await readAll();
    expectEachOnce(blocks);
    expect(blocks.map(({ records }) => records.length)).toEqual([3, 3, 3]);
  });

  it("is a single record where that is heavier than a block may be", async () => {
    const bytes = 2 * BLOCK_WEIGHT_MAX;
    await append(3, `[{"o":${blobText({ sha256: "a".repeat(64), bytes })}}]`);
    const blocks = await readAll();
    expectEachOnce(blocks);
    expect(blocks).toHaveLength(3);
  });

  it("ends where the chain breaks, and the next one is told of the break", async () => {
    await append(40, "[]");
    seq += 1;
    await append(1, "[]");
    const block = (await readFrom(START)) as Block;
    expect(block.records).toHaveLength(40);
    await expect(readFrom(block.to)).rejects.toThrow(ChainBreak);
  });
});
