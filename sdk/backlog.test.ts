import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openTestPartition, type TestPartition } from "../test/harness/partition.ts";
import { backlogBytes, sharedBacklogBytes } from "./backlog.ts";

const SMALL = 1000;
const LARGE = 200_000;

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
beforeEach(() => p.reset());
afterAll(() => p.close());

async function append(count: number, bytes: number): Promise<number> {
  const pipeline = p.scripts.redis.pipeline();
  for (let i = 0; i < count; i++) {
    pipeline.xadd(p.scripts.keys.ev, "*", "b", "x".repeat(bytes));
  }
  await pipeline.exec();
  return count * bytes;
}

/** Told, as a multiple of what was appended. */
async function toldOf(appended: number): Promise<number> {
  return (await backlogBytes(p.redis, p.scripts.keys)) / appended;
}

describe("the bytes of the backlog", () => {
  it("are those of its large records, too, where an archived tail of small ones lies before", async () => {
    const told = await toldOf((await append(1000, SMALL)) + (await append(100, LARGE)));
    expect(told).toBeGreaterThan(0.9);
    expect(told).toBeLessThan(1.5);
  });

  it("are those of its small records where a few large ones lie before", async () => {
    const told = await toldOf((await append(5, LARGE)) + (await append(2000, SMALL)));
    expect(told).toBeGreaterThan(0.9);
    expect(told).toBeLessThan(1.5);
  });

  it("are none of a journal that has no record", async () => {
    expect(await backlogBytes(p.redis, p.scripts.keys)).toBe(0);
  });
});

describe("the look that workers share", () => {
  it("is measured once for all of them, and again when it is a second old", async () => {
    const { keys } = p.scripts;
    await append(1, LARGE);
    const first = await sharedBacklogBytes(p.redis, keys);
    expect(first).toBeGreaterThan(LARGE);
    await append(1, LARGE);
    expect(await sharedBacklogBytes(p.redis, keys)).toBe(first);
    expect(await p.redis.pttl(keys.backlog)).toBeGreaterThan(0);
    expect(await p.redis.pexpire(keys.backlog, 0)).toBe(1);
    expect(await sharedBacklogBytes(p.redis, keys)).toBeGreaterThan(2 * LARGE);
  });
});
