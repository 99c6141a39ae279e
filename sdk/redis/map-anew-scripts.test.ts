/** What an expansion of a map before left behind: elements of the same names count no more. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { innerMap, mapPlayer, type MapPlayer } from "../../test/harness/map-player.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { allKeys } from "../../test/support/index.ts";
import { releaseMaps, releaseMapsOfEnded } from "../../supervisor/release-maps.ts";
import type { ReadyToken } from "../entry.ts";
import { commonQueueKey } from "../keys.ts";
import { COMPLETION } from "./complete-tokens.ts";
import { EXPANSION, expandMap } from "./map-scripts.ts";
import { fireTimers } from "./run-scripts.ts";
import { evictRuns } from "./sleep-scripts.ts";
import { cancelRun } from "./run-scripts.ts";

let p: TestPartition;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const ERROR = '{"error":{"code":"E","message":"no"}}';

describe("what an expansion before left under a map's name", () => {
  it("is gone when elements run anew, those that have not begun again too", async () => {
    const run = await mapPlayer(p);
    await run.expand(4);
    const former = await run.read();
    await run.tryAgain();
    await run.expand(4, { by: "later", window: 1 });
    expect(await run.end(former[3] as ReadyToken)).toBe(COMPLETION.runGone);
    expect(await allKeys(p.redis, `${run.key}#*`)).toEqual([`${run.key}#0`]);
    expect(await p.redis.hmget(run.key, "done", "next", "again")).toEqual(["0", "1", null]);
  });

  it("is gone in a map inside an element when the map around it is tried again", async () => {
    const run = await mapPlayer(p, innerMap);
    await run.expand(1);
    const [outer] = (await run.read()) as [ReadyToken];
    await run.expandInner(outer, 3, 3, "first");
    const former = (await run.read()) as [ReadyToken, ReadyToken, ReadyToken];
    const retry = { op: "R" as const, value: ERROR, delayMs: 60_000 };
    expect(await run.end(former[0], retry)).toBe(COMPLETION.done);
    await run.tryAgain();
    await run.expand(1, { by: "later" });
    const [anew] = (await run.read()) as [ReadyToken];
    await run.expandInner(anew, 3, 1, "second");
    const key = p.scripts.keys.run(former[0].unit);
    expect((await p.redis.hkeys(key)).sort()).toEqual(["c", "e", "ir", "it", "n0", "s"]);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
    expect(await run.end(former[2])).toBe(COMPLETION.runGone);
    for (let ended = 0; ended < 3; ended++) {
      const [token] = (await run.read()) as [ReadyToken];
      expect(run.indexes([token])).toEqual([ended]);
      expect(await run.end(token)).toBe(COMPLETION.done);
    }
    expect((await run.read()).map(({ kind }) => kind)).toEqual(["gather"]);
  });

  it("is refused when it comes late: nothing of an element counts for the one that has its name now", async () => {
    const run = await mapPlayer(p);
    await run.expand(2);
    const [former, other] = (await run.read()) as [ReadyToken, ReadyToken];
    await run.tryAgain();
    await run.expand(2, { by: "later" });
    const [anew] = (await run.read()) as [ReadyToken];
    expect(anew).toMatchObject({ unit: former.unit, attempt: former.attempt, epoch: "1.1:3" });
    const before = await p.redis.hgetall(p.scripts.keys.run(former.unit));
    expect(await run.end(former)).toBe(COMPLETION.runEpoch);
    expect(await run.end(other, { op: "X", value: ERROR })).toBe(COMPLETION.runEpoch);
    expect(await p.redis.hgetall(p.scripts.keys.run(former.unit))).toEqual(before);
    expect(await run.end(anew)).toBe(COMPLETION.done);
  });

  it("is refused in a map inside an element, whichever of the two maps was expanded again", async () => {
    const run = await mapPlayer(p, innerMap);
    await run.expand(1);
    const [outer] = (await run.read()) as [ReadyToken];
    await run.expandInner(outer, 2, 1, "first");
    const [first] = (await run.read()) as [ReadyToken];
    // The inner map again, then the outer one as often: names and numbers alike, expansions not.
    await run.expandInner(await run.again("1#0"), 2, 1, "second");
    const [second] = (await run.read()) as [ReadyToken];
    expect(await run.end(first)).toBe(COMPLETION.runEpoch);
    await run.tryAgain();
    await run.expand(1, { by: "later" });
    const [anew] = (await run.read()) as [ReadyToken];
    await run.expandInner(anew, 2, 1, "third");
    expect(await run.end(first)).toBe(COMPLETION.runEpoch);
    expect(await run.end(second)).toBe(COMPLETION.runEpoch);
    const epochs: string[] = [];
    for (let ended = 0; ended < 2; ended++) {
      const [token] = (await run.read()) as [ReadyToken];
      epochs.push(token.epoch);
      expect(await run.end(token)).toBe(COMPLETION.done);
    }
    expect([first.epoch, second.epoch, ...epochs]).toEqual(["1", "1.2:3", "1.1:3", "1.1:3"]);
    const [gather] = (await run.read()) as [ReadyToken];
    expect(gather).toMatchObject({ kind: "gather", unit: anew.unit, epoch: anew.epoch });
  });

  it("is refused after a rebuild as well: what is emitted anew is of the expansion that counts", async () => {
    const run = await mapPlayer(p);
    await run.expand(2);
    await run.read();
    await run.tryAgain();
    await run.expand(2, { by: "later" });
    const [former] = (await run.read()) as [ReadyToken];
    await run.rebuild(2);
    const [anew, other] = (await run.read()) as [ReadyToken, ReadyToken];
    expect([anew.epoch, other.epoch]).toEqual(["2.1:3", "2.1:3"]);
    expect(await run.end(former)).toBe(COMPLETION.runEpoch);
    expect(await run.end(anew, { op: "R", value: ERROR, delayMs: 100 })).toBe(COMPLETION.done);
    await p.advance(101);
    expect((await fireTimers(p.scripts)).fired).toBe(1);
    const [again] = (await run.read()) as [ReadyToken];
    expect(await run.end(again)).toBe(COMPLETION.done);
    expect(await run.end(other)).toBe(COMPLETION.done);
    const queueKey = commonQueueKey(run.map.queueKey);
    expect(await run.read()).toMatchObject([{ kind: "gather", epoch: "2", queueKey }]);
  });

  it("is gone, however much it is and however few elements follow", async () => {
    const run = await mapPlayer(p);
    await run.expand(1200, { window: 1200 });
    await run.read();
    await run.tryAgain();
    await run.expand(1, { by: "later" });
    expect(await allKeys(p.redis, `${run.key}#*`)).toEqual([`${run.key}#0`]);
  }, 60_000);

  it.each([
    [
      "a release of its run",
      async (run: MapPlayer): Promise<void> => {
        await cancelRun(p.scripts, run.runId, "test");
        await releaseMapsOfEnded(p.scripts, [run.runId]);
      },
    ],
    [
      "its place on the list",
      async (run: MapPlayer): Promise<void> => {
        await p.redis.zadd(p.scripts.keys.release, 1, `${run.runId}!1`);
        await releaseMaps(p.scripts, [`${run.runId}!1`]);
      },
    ],
    [
      "the sleep of its run",
      async (run: MapPlayer): Promise<void> => {
        await p.redis.hset(p.scripts.keys.run(run.runId), { s: "asleep", sl: 7 });
        expect(await evictRuns(p.scripts, [{ runId: run.runId, seq: 7 }])).toBe(1);
      },
    ],
  ])("goes with %s, when elements do not run anew yet", async (_, remove) => {
    const run = await mapPlayer(p);
    await run.expand(5);
    await run.tryAgain();
    const later = run.expansion(2, { by: "later" });
    expect(await expandMap(p.scripts, later, 0, ["0", "1"])).toBe(EXPANSION.more);
    const latest = { ...later, by: "latest" };
    expect(await expandMap(p.scripts, latest, 0, ["0", "1"])).toBe(EXPANSION.more);
    await remove(run);
    expect(await allKeys(p.redis, `${run.key}*`)).toEqual([]);
  });
});
