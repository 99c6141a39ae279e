import { afterAll, beforeAll, describe, expect, it } from "vitest";
import fc from "fast-check";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { packBatch } from "./pack-batch.ts";

let p: TestPartition;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());

/** What a script reads: numbers as text, and everything as bytes. */
async function unpacked(list: (string | number)[]): Promise<string[]> {
  const script = `local list = cmsgpack.unpack(ARGV[1])
    for i = 1, #list do
      list[i] = type(list[i]) == "number" and "#" .. string.format("%d", list[i]) or list[i]
    end
    return list`;
  return (await p.scripts.redis.eval(script, 0, packBatch(list))) as string[];
}

const asRead = (list: (string | number)[]): string[] =>
  list.map((value) => (typeof value === "number" ? `#${value}` : value));

describe("packBatch", () => {
  it("is what a script reads, whatever the texts hold and however long they are", async () => {
    const whole = fc.integer({ min: -2147483648, max: 2147483647 });
    const text = fc.string({ unit: "grapheme", maxLength: 80 });
    const lists = fc.array(fc.oneof(text, whole, fc.nat(200)), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(lists, async (list) => {
        expect(await unpacked(list)).toEqual(asRead(list));
      }),
      { numRuns: 200 },
    );
  });

  it("writes numbers that are no integers of 32 bits as text", async () => {
    expect(await unpacked([2_592_000_000, 0.5, -1])).toEqual(["2592000000", "0.5", "#-1"]);
  });

  it("grows with what it has to hold", async () => {
    const list = [
      "é".repeat(70_000),
      "x".repeat(21_845),
      "y".repeat(21_846),
      1,
      "",
      "z".repeat(31),
    ];
    expect(await unpacked(list)).toEqual(asRead(list));
    expect(await unpacked(["a"])).toEqual(["a"]);
  });
});
