import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readAll } from "../../test/harness/deliveries.ts";
import { mapPlayer } from "../../test/harness/map-player.ts";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { TokenPlayer } from "../../test/harness/tokens.ts";
import type { ReadyToken } from "../entry.ts";
import { commonQueueKey } from "../keys.ts";
import { linesOf, waitToken } from "../waits.ts";
import { COMPLETION, completeTokens } from "./complete-tokens.ts";
import { EXPANSION, expandMap, releaseMap } from "./map-scripts.ts";
import { cancelRun, fireTimers, releaseRuns } from "./run-scripts.ts";
import { releaseMaps, releaseMapsOfEnded } from "../../supervisor/release-maps.ts";
import { allKeys } from "../../test/support/index.ts";

let p: TestPartition;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const ERROR = '{"error":{"code":"E","message":"no"}}';

describe("A16: expanding a map", () => {
  it("nothing runs before the last chunk is there", async () => {
    const run = await mapPlayer(p);
    const expansion = run.expansion(3);
    expect(await expandMap(p.scripts, expansion, 0, ["0", "1"])).toBe(EXPANSION.more);
    expect(await expandMap(p.scripts, expansion, 3, [])).toBe(EXPANSION.superseded);
    expect(await run.read()).toEqual([]);
    expect(await expandMap(p.scripts, expansion, 2, ["2"])).toBe(EXPANSION.more);
    expect(await expandMap(p.scripts, expansion, 3, [])).toBe(EXPANSION.done);
    expect(run.indexes(await run.read())).toEqual([0, 1, 2]);
  });

  it("items that are there are not told again; a later expansion counts, the earlier is refused", async () => {
    const run = await mapPlayer(p);
    const early = run.expansion(3, { by: "early" });
    await expandMap(p.scripts, early, 0, ["0"]);
    const before = await p.redis.xlen(p.scripts.keys.ev);
    expect(await expandMap(p.scripts, { ...early }, 0, ["0"])).toBe(EXPANSION.more);
    await expandMap(p.scripts, early, 1, ["1"]);
    await expandMap(p.scripts, early, 1, ["1"]);
    expect(await p.redis.xlen(p.scripts.keys.ev)).toBe(before + 2);
    const late = run.expansion(2, { by: "late" });
    expect(await expandMap(p.scripts, late, 0, ["5", "6"])).toBe(EXPANSION.more);
    expect(await expandMap(p.scripts, early, 2, ["2"])).toBe(EXPANSION.superseded);
    expect(await p.redis.hmget(run.key, "n", "got", "x0")).toEqual(["2", "2", "5"]);
  });

  it("of 1,200 elements 500 run, each that ends starts the next index, results stay in order", async () => {
    const run = await mapPlayer(p);
    await run.expand(1200);
    let ready = await run.read();
    expect(run.indexes(ready)).toEqual(Array.from({ length: 500 }, (_, i) => i));
    for (let ended = 0; ended < 1200;) {
      const token = ready.pop() as ReadyToken;
      expect(await run.end(token)).toBe(COMPLETION.done);
      ended += 1;
      const next = await run.read();
      expect(run.indexes(next)).toEqual(ended <= 700 ? [499 + ended] : ended < 1200 ? [] : [NaN]);
      ready = [...next, ...ready];
    }
    const [gather] = ready;
    expect(gather).toMatchObject({ kind: "gather", unit: run.runId, payload: null });
    expect(gather?.queueKey).toBe(commonQueueKey(run.map.queueKey));
    expect(await p.redis.hmget(run.key, "r0", "r700", "r1199")).toEqual(
      ["r0", "r700", "r1199"].map((text) => JSON.stringify(text)),
    );
    expect(await allKeys(p.redis, `${run.key}#*`)).toEqual([]);
  }, 60_000);

  it("its entry is acknowledged when the elements run, not before", async () => {
    const run = await mapPlayer(p);
    const pending = async (): Promise<unknown> =>
      (await p.redis.xpending(run.map.queueKey, "workers"))[0];
    await expandMap(p.scripts, run.expansion(1), 0, ["0"]);
    expect(await pending()).toBe(1);
    await expandMap(p.scripts, run.expansion(1), 1, []);
    expect(await pending()).toBe(0);
  });
});

describe("an element of as many terminal nodes as may be", () => {
  it("puts its output together out of all of them", async () => {
    const ids = Array.from({ length: 4100 }, (_, i) => `t${i}`);
    const run = await mapPlayer(p, miniIr(ids, []));
    await run.expand(1);
    const keys = [...run.body.queueKeys, ...run.body.entryKeys];
    const tokens = await readAll(p.redis, keys, "c", ids.length);
    const element = new TokenPlayer(p, run.body, `${run.runId}!1#0`);
    const items = tokens.map((token) => ({
      ...element.item(token, "", { value: String(token.node) }),
      runId: element.runId,
    }));
    for (let from = 0; from < items.length; from += 500) {
      const codes = await completeTokens(p.scripts, items.slice(from, from + 500));
      expect(new Set(codes)).toEqual(new Set([COMPLETION.done]));
    }
    const output = JSON.parse((await p.redis.hget(run.key, "r0")) ?? "null") as object;
    expect(output).toEqual(Object.fromEntries(ids.map((id, i) => [id, i])));
  });
});

describe("A5: what is void is refused", () => {
  it("a map that was settled by hand and is tried again begins with fresh elements", async () => {
    const run = await mapPlayer(p);
    await run.expand(2);
    const [first] = await run.read();
    await run.end(first as ReadyToken, { op: "R", value: ERROR, delayMs: 60_000 });
    await run.tryAgain();
    await run.expand(2, { by: "later" });
    const element = await p.redis.hgetall(`${run.key}#0`);
    expect(element).toMatchObject({ n0: "a1||", c: "1" });
    expect(Object.keys(element).sort()).toEqual(["c", "e", "ir", "it", "n0", "s"]);
  });

  it("a map that was settled by hand is not expanded again by whoever had its entry before", async () => {
    const run = await mapPlayer(p);
    await run.expand(2);
    await run.order("fail");
    const late = run.expansion(2, { by: "late" });
    expect(await expandMap(p.scripts, late, 0, ["0", "1"])).toBe(EXPANSION.tokenNotActive);
    expect((await run.hash())["n1"]).toBe("a2||");
  });

  it("a late result of an element that has ended changes nothing and creates nothing", async () => {
    const run = await mapPlayer(p);
    await run.expand(2);
    const [first] = await run.read();
    expect(await run.end(first as ReadyToken)).toBe(COMPLETION.done);
    const before = await p.redis.hgetall(run.key);
    expect(await run.end(first as ReadyToken)).toBe(COMPLETION.runGone);
    expect(await p.redis.hgetall(run.key)).toEqual(before);
    expect(await p.redis.exists(`${run.key}#0`)).toBe(0);
  });

  it("the map's entry delivered again after its elements have ended does not start them again", async () => {
    const run = await mapPlayer(p);
    await run.expand(1);
    const [only] = await run.read();
    await run.end(only as ReadyToken);
    const again = run.expansion(1, { by: "again" });
    expect(await expandMap(p.scripts, again, 0, ["0"])).toBe(EXPANSION.tokenNotActive);
    expect((await run.read()).map((token) => token.kind)).toEqual(["gather"]);
    expect((await run.hash())["n1"]).toBe("g1||");
  });

  it("a result of the expanding phase is refused while the results are to be collected", async () => {
    const run = await mapPlayer(p);
    await run.expand(1);
    const [only] = await run.read();
    await run.end(only as ReadyToken);
    expect(await run.settle(run.map, "", { op: "X", value: ERROR })).toBe(
      COMPLETION.tokenNotActive,
    );
    const [gather] = await run.read();
    expect(await run.settle(gather as ReadyToken, "L", { gathered: true })).toBe(COMPLETION.done);
    expect(await p.redis.exists(run.key)).toBe(0);
    expect(await p.redis.smembers(p.scripts.keys.maps(run.runId))).toEqual([]);
  });

  it("one failure too many fails the map at once; what is in flight of it is refused", async () => {
    const run = await mapPlayer(p);
    await run.expand(10, { window: 3, tolerated: 1 });
    const [a, b, c] = (await run.read()) as [ReadyToken, ReadyToken, ReadyToken];
    await run.end(a, { op: "X", value: ERROR });
    expect(run.indexes(await run.read())).toEqual([3]);
    await run.end(b, { op: "X", value: ERROR });
    const [gather] = await run.read();
    expect(JSON.parse(gather?.payload ?? "null")).toMatchObject({
      index: 1,
      failed: 2,
      value: { error: { code: "E" } },
    });
    expect(await run.end(c)).toBe(COMPLETION.runGone);
    expect(await p.redis.zrange(p.scripts.keys.release, 0, -1)).toEqual([`${run.runId}!1`]);
  });

  it("a failed map is removed from the list, with what is in flight and its timers", async () => {
    const run = await mapPlayer(p);
    await run.expand(1200, { tolerated: 0 });
    const [a, b] = (await run.read()) as [ReadyToken, ReadyToken];
    await run.end(b, { op: "R", value: ERROR, delayMs: 5000 });
    await run.end(a, { op: "X", value: ERROR });
    await releaseMaps(p.scripts, [`${run.runId}!1`]);
    expect(await allKeys(p.redis, `${run.key}*`)).toEqual([]);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
    expect(await p.redis.zcard(p.scripts.keys.release)).toBe(0);
    expect(await p.redis.scard(p.scripts.keys.maps(run.runId))).toBe(0);
  });

  it("an element's end, or its map's, takes its places among who waits for signals with it", async () => {
    const run = await mapPlayer(p, miniIr(["w", "x"], []));
    await run.expand(3, { tolerated: 1 });
    const ready = await run.read();
    const of = (node: number, element: number): ReadyToken =>
      ready.filter((token) => token.node === node)[element] as ReadyToken;
    for (const element of [0, 1, 2]) {
      const { unit } = of(0, element);
      const wait = { kind: "signal" as const, signal: "go", token: waitToken(unit, 0, "secret12") };
      await run.end(of(0, element), { op: "W", value: "", delayMs: 0, wait });
    }
    const line = async (): Promise<string[]> =>
      linesOf(await p.redis.hgetall(p.scripts.keys.signals(run.runId))).get("go") ?? [];
    expect(await line()).toHaveLength(3);
    await run.end(of(1, 0), { op: "X", value: ERROR });
    expect(await line()).toHaveLength(2);
    await run.end(of(1, 1), { op: "X", value: ERROR });
    expect(await line()).toHaveLength(1);
    await releaseMaps(p.scripts, [`${run.runId}!1`]);
    expect(await p.redis.exists(p.scripts.keys.signals(run.runId))).toBe(0);
  });

  it("a name on the list is not removed once a map is expanded under it anew, however late", async () => {
    const run = await mapPlayer(p);
    const map = `${run.runId}!1`;
    // As by a map inside an element, when the map around it is settled and tried again by hand.
    await p.redis.zadd(p.scripts.keys.release, 1, map);
    const page = { listed: map, map, from: 0, to: 2 };
    expect(await releaseMap(p.scripts, { ...page, isLast: false })).toBe(true);
    await run.expand(3);
    expect(await releaseMap(p.scripts, { ...page, isLast: true })).toBe(false);
    await releaseMaps(p.scripts, [map]);
    for (const token of await run.read()) {
      expect(await run.end(token)).toBe(COMPLETION.done);
    }
    expect(await run.read()).toHaveLength(1);
  });

  it("elements of a cancelled run are refused, and nothing of them is left after its release", async () => {
    const run = await mapPlayer(p);
    await run.expand(10, { window: 4, timeoutMs: 60_000 });
    const [a, b] = (await run.read()) as [ReadyToken, ReadyToken];
    await run.end(a, { op: "R", value: ERROR, delayMs: 5000 });
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(2);
    await cancelRun(p.scripts, run.runId, "test");
    expect(await run.end(b)).toBe(COMPLETION.runGone);
    // That of the map is a timer of its run, which a release is told of.
    const own = await p.redis.zrange(p.scripts.keys.timers, 0, -1);
    await releaseMapsOfEnded(p.scripts, [run.runId]);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(1);
    await releaseRuns(p.scripts, [run.runId], own);
    expect(await allKeys(p.redis, "gv:{0}:run:*")).toEqual([]);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
  });

  it("the timer of an element that has ended is gone, also when it ends by a failure", async () => {
    const run = await mapPlayer(p);
    await run.expand(1, { tolerated: 1 });
    const [token] = (await run.read()) as [ReadyToken];
    await run.end(token, { op: "R", value: ERROR, delayMs: 5000 });
    expect(await run.end(token)).toBe(COMPLETION.done);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
  });
});

describe("timers of maps and elements", () => {
  it("a map over its time fails; its elements are void", async () => {
    const run = await mapPlayer(p);
    await run.expand(3, { timeoutMs: 1000 });
    const [a] = (await run.read()) as [ReadyToken];
    await p.advance(1001);
    expect((await fireTimers(p.scripts)).fired).toBe(1);
    const [gather] = await run.read();
    expect(JSON.parse(gather?.payload ?? "null")).toMatchObject({
      value: { error: { code: "TIMEOUT" } },
    });
    expect(await run.end(a)).toBe(COMPLETION.runGone);
  });

  it("a retry of an element fires in its element, and not after the run was cancelled", async () => {
    const run = await mapPlayer(p);
    await run.expand(2);
    const [a, b] = (await run.read()) as [ReadyToken, ReadyToken];
    await run.end(a, { op: "R", value: ERROR, delayMs: 100 });
    await p.advance(101);
    expect((await fireTimers(p.scripts)).fired).toBe(1);
    const [again] = await run.read();
    expect(again).toMatchObject({ unit: a.unit, attempt: 2 });
    await run.end(b, { op: "R", value: ERROR, delayMs: 100 });
    await cancelRun(p.scripts, run.runId, "test");
    await p.advance(101);
    expect((await fireTimers(p.scripts)).fired).toBe(0);
  });
});
