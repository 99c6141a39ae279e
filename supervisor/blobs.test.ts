import { expect, it } from "vitest";
import { blobPortions, type BlobUse } from "./blobs.ts";

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
