import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { TokenPlayer } from "../../test/harness/tokens.ts";
import { foldHot, writeRun } from "../../supervisor/rebuild.ts";
import { releaseMaps, releaseMapsOf } from "../../supervisor/release-maps.ts";
import type { Ir } from "../../compiler/ir.ts";
import type { ReadyToken } from "../entry.ts";
import { parseJournalRecord } from "../journal.ts";
import type { RunRow } from "../postgres/index.ts";
import { Profiles, type RunProfile } from "../profile.ts";
import { bodyHash, mapUnit } from "../unit.ts";
import type { ManualAnswer } from "../waits.ts";
import { COMPLETION, completeTokens, type CompletionResult } from "./complete-tokens.ts";
import { interveneToken } from "./intervene.ts";
import { EXPANSION, expandMap, releaseMap, type MapExpansion } from "./map-scripts.ts";
import { cancelRun, fireTimers, releaseRuns } from "./run-scripts.ts";
import { evictRuns } from "./sleep-scripts.ts";
import { allKeys } from "../../test/support/index.ts";

let p: TestPartition;
let serial = 0;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const body = miniIr(["x"], []);

/** A body that is a map of one-node elements. */
const innerMap = ((): Ir => {
  const ir = miniIr(["n"], []);
  return { ...ir, nodes: ir.nodes.map((n) => ({ ...n, type: "map", body, outer_refs: [] })) };
})();

/** A map between two nodes. */
function mapIr(body: Ir): Ir {
  const ir = miniIr(
    ["a", "m", "z"],
    [
      ["a", "m"],
      ["m", "z"],
    ],
  );
  const nodes = ir.nodes.map((node) =>
    node.id === "m" ? { ...node, type: "map" as const, body, outer_refs: [] } : node,
  );
  return { ...ir, nodes };
}

class MapPlayer extends TokenPlayer {
  readonly body: RunProfile;
  map!: ReadyToken;

  constructor(partition: TestPartition, profile: RunProfile, runId: string) {
    super(partition, profile, runId);
    const hash = bodyHash(profile.irHash, 1);
    const { body } = profile.ir.nodes[1] as { body: Ir };
    this.body = new Profiles().add(body, hash, profile, profile.ir);
  }

  get key(): string {
    return this.p.scripts.keys.run(mapUnit(this.runId, "", 1));
  }

  expansion(count: number, more: Partial<MapExpansion> = {}): MapExpansion {
    return {
      ...{ token: this.map, queueKey: this.profile.queueKeys[0] as string, body: this.body },
      ...{ by: "b", count, window: 500, tolerated: 0, timeoutMs: null, vars: "{}" },
      ...more,
    };
  }

  /** Expands completely; the elements that could begin are ready then. */
  async expand(count: number, more: Partial<MapExpansion> = {}): Promise<void> {
    const expansion = this.expansion(count, more);
    const items = Array.from({ length: count }, (_, i) => String(i));
    for (let from = 0; from < count; from += 500) {
      await expandMap(this.p.scripts, expansion, from, items.slice(from, from + 500));
    }
    while ((await expandMap(this.p.scripts, expansion, count, [])) === EXPANSION.more) {
      // goes on starting
    }
  }

  async end(token: ReadyToken, more: Partial<CompletionResult> = {}): Promise<number> {
    const item = this.item(token, "", { value: `"r${token.unit.split("#")[1]}"`, ...more });
    const ofInner = token.unit.split("#").length > 2;
    const sent = { ...item, profile: ofInner ? this.inner() : this.body, runId: token.unit };
    return (await completeTokens(this.p.scripts, [sent]))[0] as number;
  }

  /** Somebody settles a map by hand. */
  order(action: ManualAnswer["action"], home = ""): Promise<unknown> {
    const answer = { kind: "manual" as const, action, by: "ann" };
    const at = { runId: this.runId, home, node: home === "" ? 1 : 0, scope: null };
    const queueKey = this.profile.queueKeys[0] as string;
    return interveneToken(this.p.scripts, { ...at, queueKey, answer });
  }

  /** By hand: settled while its elements run, and tried again before a worker carries that out. */
  async tryAgain(): Promise<void> {
    this.map = await this.again("");
  }

  /** The same with the map in this home. */
  async again(home: string): Promise<ReadyToken> {
    await this.order("complete", home);
    await this.order("retry", home);
    return (await this.read()).find(({ attempt }) => attempt === 3) as ReadyToken;
  }

  /** Writes the run as a supervisor would after a loss, under this epoch. */
  async rebuild(epoch: number): Promise<void> {
    const { redis, scripts } = this.p;
    const journal = (await redis.xrange(scripts.keys.ev, "-", "+")).flatMap(([id, fields]) => {
      const { t, transitions } = parseJournalRecord(id, fields);
      return transitions.map((transition) => ({ position: "", t, transition }));
    });
    const { irHash } = this.profile;
    const place = { namespace: "", priority: "normal", irHash, input: "null" };
    const row = { id: this.runId, epoch, ...place } as RunRow;
    const pipeline = scripts.redis.pipeline();
    writeRun(pipeline, this.profile, row, foldHot(this.profile, journal), journal.at(-1)?.t ?? 0);
    await pipeline.exec();
  }

  /** Profile of the elements of the map that is all of element 0. */
  inner(): RunProfile {
    const hash = bodyHash(this.body.irHash, 0);
    return new Profiles().add(body, hash, this.profile, this.profile.ir);
  }

  /** Expands the map that is all of element 0; its elements that could begin are ready then. */
  async expandInner(token: ReadyToken, count: number, window: number, by: string): Promise<void> {
    const expansion = { ...this.expansion(count, { by, window }), token, body: this.inner() };
    const items = Array.from({ length: count }, (_, i) => String(i));
    expect(await expandMap(this.p.scripts, expansion, 0, items)).toBe(EXPANSION.more);
    expect(await expandMap(this.p.scripts, expansion, count, [])).toBe(EXPANSION.done);
  }

  indexes(tokens: readonly ReadyToken[]): number[] {
    return tokens.map((token) => Number(token.unit.split("#").at(-1)));
  }
}

async function player(of: Ir = body): Promise<MapPlayer> {
  serial += 1;
  const run = new MapPlayer(p, await p.publish(mapIr(of), `map-${serial}`), `run-${serial}`);
  await run.start();
  await run.settle(await run.take("a"), "L");
  run.map = await run.take("m");
  return run;
}

const ERROR = '{"error":{"code":"E","message":"no"}}';

describe("A16: expanding a map", () => {
  it("nothing runs before the last chunk is there", async () => {
    const run = await player();
    const expansion = run.expansion(3);
    expect(await expandMap(p.scripts, expansion, 0, ["0", "1"])).toBe(EXPANSION.more);
    expect(await expandMap(p.scripts, expansion, 3, [])).toBe(EXPANSION.superseded);
    expect(await run.read()).toEqual([]);
    expect(await expandMap(p.scripts, expansion, 2, ["2"])).toBe(EXPANSION.more);
    expect(await expandMap(p.scripts, expansion, 3, [])).toBe(EXPANSION.done);
    expect(run.indexes(await run.read())).toEqual([0, 1, 2]);
  });

  it("items that are there are not told again; a later expansion counts, the earlier is refused", async () => {
    const run = await player();
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
    const run = await player();
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
    expect(await p.redis.hmget(run.key, "r0", "r700", "r1199")).toEqual(
      ["r0", "r700", "r1199"].map((text) => JSON.stringify(text)),
    );
    expect(await allKeys(p.redis, `${run.key}#*`)).toEqual([]);
  }, 60_000);

  it("its entry is acknowledged when the elements run, not before", async () => {
    const run = await player();
    const pending = async (): Promise<unknown> =>
      (await p.redis.xpending(run.map.queueKey, "workers"))[0];
    await expandMap(p.scripts, run.expansion(1), 0, ["0"]);
    expect(await pending()).toBe(1);
    await expandMap(p.scripts, run.expansion(1), 1, []);
    expect(await pending()).toBe(0);
  });
});

describe("A5: what is void is refused", () => {
  it("a map that was settled by hand and is tried again begins with fresh elements", async () => {
    const run = await player();
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
    const run = await player();
    await run.expand(2);
    await run.order("fail");
    const late = run.expansion(2, { by: "late" });
    expect(await expandMap(p.scripts, late, 0, ["0", "1"])).toBe(EXPANSION.tokenNotActive);
    expect((await run.hash())["n1"]).toBe("a2||");
  });

  it("a late result of an element that has ended changes nothing and creates nothing", async () => {
    const run = await player();
    await run.expand(2);
    const [first] = await run.read();
    expect(await run.end(first as ReadyToken)).toBe(COMPLETION.done);
    const before = await p.redis.hgetall(run.key);
    expect(await run.end(first as ReadyToken)).toBe(COMPLETION.runGone);
    expect(await p.redis.hgetall(run.key)).toEqual(before);
    expect(await p.redis.exists(`${run.key}#0`)).toBe(0);
  });

  it("the map's entry delivered again after its elements have ended does not start them again", async () => {
    const run = await player();
    await run.expand(1);
    const [only] = await run.read();
    await run.end(only as ReadyToken);
    const again = run.expansion(1, { by: "again" });
    expect(await expandMap(p.scripts, again, 0, ["0"])).toBe(EXPANSION.tokenNotActive);
    expect((await run.read()).map((token) => token.kind)).toEqual(["gather"]);
    expect((await run.hash())["n1"]).toBe("g1||");
  });

  it("a result of the expanding phase is refused while the results are to be collected", async () => {
    const run = await player();
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
    const run = await player();
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
    const run = await player();
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

  it("a name on the list is not removed once a map is expanded under it anew, however late", async () => {
    const run = await player();
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
    const run = await player();
    await run.expand(10, { window: 4, timeoutMs: 60_000 });
    const [a, b] = (await run.read()) as [ReadyToken, ReadyToken];
    await run.end(a, { op: "R", value: ERROR, delayMs: 5000 });
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(2);
    await cancelRun(p.scripts, run.runId, "test");
    expect(await run.end(b)).toBe(COMPLETION.runGone);
    await releaseMapsOf(p.scripts.redis, p.scripts.keys, [run.runId]);
    await releaseRuns(p.scripts, [run.runId], []);
    expect(await allKeys(p.redis, "gv:{0}:run:*")).toEqual([]);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
  });

  it("the timer of an element that has ended is gone, also when it ends by a failure", async () => {
    const run = await player();
    await run.expand(1, { tolerated: 1 });
    const [token] = (await run.read()) as [ReadyToken];
    await run.end(token, { op: "R", value: ERROR, delayMs: 5000 });
    expect(await run.end(token)).toBe(COMPLETION.done);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
  });
});

describe("what an expansion before left under a map's name", () => {
  it("is gone when elements run anew, those that have not begun again too", async () => {
    const run = await player();
    await run.expand(4);
    const former = await run.read();
    await run.tryAgain();
    await run.expand(4, { by: "later", window: 1 });
    expect(await run.end(former[3] as ReadyToken)).toBe(COMPLETION.runGone);
    expect(await allKeys(p.redis, `${run.key}#*`)).toEqual([`${run.key}#0`]);
    expect(await p.redis.hmget(run.key, "done", "next", "again")).toEqual(["0", "1", null]);
  });

  it("is gone in a map inside an element when the map around it is tried again", async () => {
    const run = await player(innerMap);
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
    const run = await player();
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
    const run = await player(innerMap);
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
    const run = await player();
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
    expect(await run.read()).toMatchObject([{ kind: "gather", epoch: "2" }]);
  });

  it("is gone, however much it is and however few elements follow", async () => {
    const run = await player();
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
        await releaseMapsOf(p.scripts.redis, p.scripts.keys, [run.runId]);
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
    const run = await player();
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

describe("timers of maps and elements", () => {
  it("a map over its time fails; its elements are void", async () => {
    const run = await player();
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
    const run = await player();
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
