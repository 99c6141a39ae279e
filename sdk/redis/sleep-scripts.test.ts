/** How much one call of the scripts of sleep does: Redis serves nobody else meanwhile. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { releaseRuns } from "./run-scripts.ts";
import { evictRuns, hibernateRuns, removeTombstones } from "./sleep-scripts.ts";

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

/** A run whose map has begun so many elements, of which the last ones wait. */
async function waiting(runId: string, begun: number, open: number): Promise<void> {
  const { redis, keys } = p.scripts;
  const pipe = redis.pipeline();
  pipe.hset(keys.run(runId), { s: "running", e: "1", c: "1", n0: "m1||" });
  pipe.hset(keys.run(`${runId}!0`), { n: begun, next: begun, done: begun - open, window: 500 });
  pipe.sadd(keys.maps(runId), `${runId}!0`);
  for (let i = begun - open; i < begun; i++) {
    pipe.hset(keys.run(`${runId}!0#${i}`), { s: "running", e: "1", c: "1", n0: "w1||", w0: "x" });
  }
  await pipe.exec();
}

/** How often these scripts are called from here on. */
function calls(): (name: string) => number {
  const { mock } = vi.spyOn(p.scripts, "transition");
  const from = mock.calls.length;
  return (name) => mock.calls.slice(from).filter(([called]) => called === name).length;
}

const idsOf = (count: number): string[] => Array.from({ length: count }, (_, i) => `big-${i}`);

describe("sleep", () => {
  it("of many large runs takes a call for every few of them", async () => {
    const ids = idsOf(9);
    for (const id of ids) {
      await waiting(id, 500, 500);
    }
    const count = calls();
    const answers = await hibernateRuns(p.scripts, ids, 1000);
    expect(answers).toEqual(ids.map(() => "asleep"));
    expect(count("hibernateRuns")).toBeGreaterThanOrEqual(4);
    const { redis, keys } = p.scripts;
    const seqs = await Promise.all(ids.map((id) => redis.hget(keys.run(id), "sl")));
    const asleep = ids.map((runId, i) => ({ runId, seq: Number(seqs[i]) }));
    expect(await evictRuns(p.scripts, asleep)).toBe(ids.length);
    expect(count("evictRuns")).toBeGreaterThanOrEqual(3);
    expect(await redis.exists(...ids.map((id) => keys.run(`${id}!0#499`)))).toBe(0);
  });

  it("leaves no run out behind one that is too large, and answers each for itself", async () => {
    await waiting("small", 2, 2);
    await waiting("large", 9999, 2);
    await waiting("huge", 10_001, 2);
    const ids = ["small", "huge", "small-gone", "large", "huge"];
    const answers = await hibernateRuns(p.scripts, ids, 1000);
    expect(answers).toEqual(["asleep", "busy", "moved", "asleep", "busy"]);
  });

  it("of small runs takes one call", async () => {
    const ids = idsOf(100);
    await Promise.all(ids.map((id) => waiting(id, 2, 2)));
    const count = calls();
    expect(await hibernateRuns(p.scripts, ids, 1000)).toEqual(ids.map(() => "asleep"));
    expect(count("hibernateRuns")).toBe(1);
  });
});

describe("tombstones that are over", () => {
  /** Those of a burst, and one that still holds. */
  async function burst(count: number): Promise<void> {
    const { redis, keys } = p.scripts;
    const over = Array.from({ length: count }, (_, i) => [i, `gone-${i}`]).flat();
    await redis.zadd(keys.tombs, ...over, 9e15, "held");
  }
  const left = (): Promise<number> => p.scripts.redis.zcard(p.scripts.keys.tombs);

  it("go a thousand with each call that leaves new ones, and all in the end", async () => {
    await burst(2500);
    await releaseRuns(p.scripts, ["a"], []);
    expect(await left()).toBe(1502);
    await waiting("b", 2, 2);
    await hibernateRuns(p.scripts, ["b"], 1000);
    const seq = Number(await p.scripts.redis.hget(p.scripts.keys.run("b"), "sl"));
    await evictRuns(p.scripts, [{ runId: "b", seq }]);
    expect(await left()).toBe(503);
    await releaseRuns(p.scripts, ["c"], []);
    expect(await p.scripts.redis.zrange(p.scripts.keys.tombs, 0, -1)).toEqual([
      ...["a", "b", "c"],
      "held",
    ]);
  });

  it("go a thousand with each command where everything sleeps", async () => {
    await burst(2500);
    const removed: number[] = [];
    const { redis } = p.scripts;
    const remove = redis.zremrangebyscore.bind(redis);
    const spy = vi.spyOn(redis, "zremrangebyscore").mockImplementation(async (...args) => {
      removed.push(await remove(...args));
      return removed.at(-1) as number;
    });
    await removeTombstones(p.scripts, 1e12);
    spy.mockRestore();
    expect(removed).toEqual([1000, 1000, 500]);
    expect(await redis.zrange(p.scripts.keys.tombs, 0, -1)).toEqual(["held"]);
  });
});
