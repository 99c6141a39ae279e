import { expect, it } from "vitest";
import { openTestPartition } from "../test/harness/partition.ts";
import { blobPortions, BlobsLost, blobsToArchive, type BlobUse } from "./blobs.ts";

const MIB = 1024 * 1024;
const use = (sha256: string, bytes: number): BlobUse => ({ runId: "r", ref: { sha256, bytes } });

it("blobs are copied in portions that one statement can take, in the order of their hashes", () => {
  const uses = [use("d", 16 * MIB), use("b", 40 * MIB), use("a", 30 * MIB), use("c", 20 * MIB)];
  const portions = blobPortions([...uses, use("e", 2000 * MIB), use("f", 1)]);
  expect(portions.map((part) => part.map(({ ref }) => ref.sha256))).toEqual([
    ["a"],
    ["b", "c"],
    ["d"],
    ["e"],
    ["f"],
  ]);
  expect(blobPortions([])).toEqual([]);
});

it("what Redis lost together with its certificate is not archived as if it had never been", async () => {
  const p = await openTestPartition();
  await p.redis.hset(p.scripts.keys.blobs("r"), "a", '"text"');
  const texts = async (): Promise<unknown> =>
    (await blobsToArchive(p.scripts, [use("a", 6), use("b", 6)])).map(({ text }) => text);
  expect(await texts()).toEqual(['"text"', null]);
  await p.redis.del(p.scripts.keys.meta);
  await expect(texts()).rejects.toThrow(BlobsLost);
  await p.close();
});
