import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { TokenPlayer } from "../../test/harness/tokens.ts";
import { GavotteError } from "../errors.ts";
import { commonQueueKey, globalKeys, GROUP, INTAKE_GROUP } from "../keys.ts";
import { completeTokens } from "./complete-tokens.ts";
import { pauseRun, resumeRun } from "./pause-scripts.ts";
import { handBack, removeConsumer, renewLeases } from "./lease-scripts.ts";
import {
  applyDelta,
  beginRepair,
  cancelRun,
  finishRun,
  fireTimers,
  redisTimeMs,
  releaseRuns,
  START,
  startRuns,
  suspectRun,
  START_WINDOW_MS,
  TOMBSTONE_MS,
} from "./run-scripts.ts";
import { certifiedSource, isServerTrouble, ScriptRunner } from "./script-runner.ts";

let p: TestPartition;
let serial = 0;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const single = miniIr(["a"], []);
const timed = miniIr(["a"], [], { timeoutMs: 1000 });
const withOutput = miniIr(["a"], [], { output: "${ctx.a.output}" });

async function player(ir = single): Promise<TokenPlayer> {
  serial += 1;
  return new TokenPlayer(p, await p.publish(ir, `rs-${serial}`), `run-${serial}`);
}

describe("startRuns", () => {
  it("a run is started once; a repeated start is refused and adds no token", async () => {
    const run = await player();
    expect(await run.start()).toBe(START.started);
    expect(await run.start()).toBe(START.exists);
    expect((await run.read()).length).toBe(1);
  });

  it("A9: a start after the run was released is refused by its tombstone, until that expires", async () => {
    const run = await player();
    await run.start();
    await run.settle(await run.take("a"), "");
    expect(await releaseRuns(p.scripts, [run.runId], [])).toBe(1);
    expect(await run.start()).toBe(START.ended);
    await p.advance(TOMBSTONE_MS + 1);
    await releaseRuns(p.scripts, ["some-other-run"], []);
    expect(await p.redis.zscore(p.scripts.keys.tombs, run.runId)).toBeNull();
  });

  it("A9: a start is late before half of the time that a tombstone refuses it is over", () => {
    // Else one that was held up begins a run anew that has ended: its tombstone is gone by then.
    expect(START_WINDOW_MS).toBeLessThan(TOMBSTONE_MS / 2);
  });

  it("A9: a release takes off the timers of runs that it removes, and of no other", async () => {
    const [ended, lives] = [await player(), await player()];
    for (const run of [ended, lives]) {
      await run.start();
    }
    await ended.settle(await ended.take("a"), "");
    const { timers } = p.scripts.keys;
    const member = (runId: string): string => `retry|${runId}|1|0||2|q`;
    await p.redis.zadd(timers, 9e15, member(ended.runId), 9e15, member(lives.runId));
    const runIds = [ended.runId, lives.runId];
    expect(await releaseRuns(p.scripts, runIds, runIds.map(member))).toBe(1);
    expect(await p.redis.zmscore(timers, ...runIds.map(member))).toEqual([
      null,
      "9000000000000000",
    ]);
  });

  it("A4: a run that cannot be started whole is repaired, and holds up no other", async () => {
    const [broken, whole] = [await player(), await player()];
    const queue = p.scripts.keys.queue("broken", "normal");
    await p.redis.set(queue, "not a stream");
    const starts = [broken, whole].map(({ profile, runId }) => {
      const entryKeys = runId === broken.runId ? [queue] : profile.entryKeys;
      return { profile: { ...profile, entryKeys }, runId, epoch: 1, input: "1", notAfterMs: 9e15 };
    });
    expect(await startRuns(p.scripts, starts)).toEqual([START.started, START.started]);
    expect((await whole.read()).length).toBe(1);
    expect(await p.redis.hget(p.scripts.keys.run(broken.runId), "s")).toBe("suspect");
  });

  it("what a run refers to comes with its start, and not with one that is refused", async () => {
    const [plain, large] = [await player(), await player()];
    const blobs = [{ sha256: "aa", text: '"large"' }];
    const start = ({ profile, runId }: TokenPlayer, more: object = {}) => {
      return { ...{ profile, runId, epoch: 1, input: "1", notAfterMs: 9e15 }, ...more };
    };
    const both = [start(plain), start(large, { blobs })];
    expect(await startRuns(p.scripts, both)).toEqual([START.started, START.started]);
    const { keys } = p.scripts;
    expect(await p.redis.exists(keys.blobs(plain.runId))).toBe(0);
    expect(await p.redis.hgetall(keys.blobs(large.runId))).toEqual({ aa: '"large"' });
    const late = await player();
    expect(await startRuns(p.scripts, [start(late, { blobs, notAfterMs: 1 })])).toEqual([
      START.tooLate,
    ]);
    expect(await p.redis.exists(keys.blobs(late.runId))).toBe(0);
  });

  it("a start that was held up too long is refused", async () => {
    const run = await player();
    const notAfterMs = (await redisTimeMs(p.scripts)) - 1;
    const start = { profile: run.profile, runId: run.runId, epoch: 1, input: "{}", notAfterMs };
    expect(await startRuns(p.scripts, [start])).toEqual([START.tooLate]);
    expect(await run.hash()).toEqual({});
  });

  it("under another epoch a start is an error, not repeated by itself", async () => {
    const { profile, runId } = await player();
    const notAfterMs = (await redisTimeMs(p.scripts)) + 1000;
    // Of its own: to the others the epoch of the next test would be one that is over.
    const scripts = new ScriptRunner({ redis: p.redis, deployment: "test", partition: 0 });
    await scripts.look();
    await p.redis.hset(scripts.keys.meta, "epoch", "2");
    const start = startRuns(scripts, [{ profile, runId, epoch: 1, input: "{}", notAfterMs }]);
    await expect(start).rejects.toMatchObject({ code: "GV_PARTITION_UNCERTIFIED" });
  });
});

describe("fireTimers", () => {
  it("a run over its time fails once, however many fire the timer", async () => {
    const run = await player(timed);
    await run.start();
    await p.advance(1001);
    const [first, second] = await Promise.all([fireTimers(p.scripts), fireTimers(p.scripts)]);
    expect((first?.fired ?? 0) + (second?.fired ?? 0)).toBe(1);
    expect((await run.hash())["s"]).toBe("failed");
  });

  it("nothing fires before it is due, and the next due time is told", async () => {
    const run = await player(timed);
    await run.start();
    const { due, nextMs } = await fireTimers(p.scripts);
    expect(due).toBe(0);
    expect(nextMs).toBeGreaterThan(await redisTimeMs(p.scripts));
  });

  it("C8: the end of a run removes its timeout", async () => {
    const run = await player(timed);
    await run.start();
    await run.settle(await run.take("a"), "");
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
  });

  it("a parked token goes on when its delay is over, and not twice", async () => {
    const run = await player();
    await run.start();
    const token = await run.take("a");
    expect(await run.settle(token, "", { op: "P", value: "", delayMs: 100 })).toBe(0);
    expect(await run.settle(token, "")).toBe(-3);
    await p.advance(101);
    await Promise.all([fireTimers(p.scripts), fireTimers(p.scripts)]);
    const resumed = await run.read();
    expect(resumed.map((t) => t.kind)).toEqual(["resumed"]);
    expect(await run.settle(resumed[0] as NonNullable<(typeof resumed)[0]>, "")).toBe(0);
    expect((await run.hash())["s"]).toBe("completed");
  });

  it("a timer armed while the clock was ahead is late by the jump, and by no more", async () => {
    const run = await player();
    await run.start();
    const token = await run.take("a");
    await p.advance(60_000);
    await run.settle(token, "", { op: "P", value: "", delayMs: 1000 });
    await p.advance(-60_000);
    const { fired, nextMs } = await fireTimers(p.scripts);
    expect(fired).toBe(0);
    const inMs = (nextMs ?? Infinity) - (await redisTimeMs(p.scripts));
    expect(inMs).toBeLessThanOrEqual(61_000);
    await p.advance(inMs);
    expect(await fireTimers(p.scripts)).toMatchObject({ fired: 1 });
  });

  it("B14: a timer of a run that was cancelled only disappears", async () => {
    const run = await player();
    await run.start();
    await run.settle(await run.take("a"), "", { op: "P", value: "", delayMs: 100 });
    await cancelRun(p.scripts, run.runId, "test");
    await p.advance(101);
    expect(await fireTimers(p.scripts)).toMatchObject({ due: 1, fired: 0, nextMs: null });
    expect(await run.read()).toEqual([]);
  });

  it("A4: a timer that cannot be fired is put off, and holds up no other", async () => {
    const [broken, whole] = [await player(), await player()];
    for (const run of [broken, whole]) {
      await run.start();
      await run.settle(await run.take("a"), "", { op: "P", value: "", delayMs: 100 });
    }
    await p.redis.hset(p.scripts.keys.run(broken.runId), "n0", "not a record");
    await p.advance(101);
    const now = await redisTimeMs(p.scripts);
    const { fired, nextMs } = await fireTimers(p.scripts);
    expect(fired).toBe(1);
    expect((await whole.read()).length).toBe(1);
    expect(nextMs).toBeGreaterThan(now + 20_000);
  });
});

describe("a run whose output is awaited", () => {
  it("has one entry that asks for it, however long nobody reads, and another when that is lost", async () => {
    const run = await player(withOutput);
    await run.start();
    await run.settle(await run.take("a"), "");
    const queue = commonQueueKey(run.profile.queueKeys[0] as string);
    const later = async (): Promise<number> => {
      await p.advance(11_000);
      expect((await fireTimers(p.scripts)).fired).toBe(1);
      return p.redis.xlen(queue);
    };
    expect([await later(), await later(), await later()]).toEqual([1, 1, 1]);
    const [token] = await run.read(); // a worker has it
    expect(await later()).toBe(1);
    // It is neither to be read nor anybody's: as after the removal of a consumer that had it.
    await p.redis.xack(queue, GROUP, token?.entryId ?? "");
    expect(await later()).toBe(2);
    await p.redis.del(queue);
    expect(await later()).toBe(1);
  });
});

describe("beginRepair", () => {
  it("counts the tries of a frozen run, and leaves nothing in the place of one that is gone", async () => {
    const run = await player();
    expect(await beginRepair(p.scripts, run.runId)).not.toBeNull();
    expect(await run.hash()).toEqual({});
    await run.start();
    expect(await beginRepair(p.scripts, run.runId)).toBeNull();
    expect((await run.hash())["rp"]).toBeUndefined();
    await suspectRun(p.scripts, { runId: run.runId, status: "running", epoch: "1" });
    expect(await beginRepair(p.scripts, run.runId)).not.toBeNull();
    expect(await beginRepair(p.scripts, run.runId)).not.toBeNull();
    expect((await run.hash())["rp"]).toBe("-2");
    expect(await cancelRun(p.scripts, run.runId, "enough")).toBe("busy");
  });
});

describe("finishRun and cancelRun", () => {
  it("the first finish wins, a second changes nothing", async () => {
    const run = await player(withOutput);
    await run.start();
    const item = run.item(await run.take("a"), "");
    expect(await completeTokens(p.scripts, [item])).toEqual([1]);
    const finish = {
      ...{ runId: run.runId, epoch: "1", status: "completed" as const, value: "7" },
      ...{ queueKey: run.profile.queueKeys[0] as string, entryId: null },
    };
    expect(await finishRun(p.scripts, { ...finish, epoch: "2" })).toBe(false);
    expect(await finishRun(p.scripts, finish)).toBe(true);
    expect(await finishRun(p.scripts, finish)).toBe(false);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
  });

  it("B6: cancel answers what the run's state really was", async () => {
    const run = await player();
    expect(await cancelRun(p.scripts, run.runId, "no")).toBe("gone");
    expect(await run.start()).toBe(START.ended);
    const second = await player();
    await second.start();
    const token = await second.take("a");
    expect(await cancelRun(p.scripts, second.runId, "enough")).toBe("cancelled");
    expect(await cancelRun(p.scripts, second.runId, "again")).toBe("was_cancelled");
    expect(await second.settle(token, "")).toBe(-1);
    const third = await player();
    await third.start();
    await third.settle(await third.take("a"), "");
    expect(await cancelRun(p.scripts, third.runId, "late")).toBe("completed");
  });

  it("B6: of a cancel and the finish of a run whose output is awaited the first wins", async () => {
    const finishing = async (): Promise<[TokenPlayer, Parameters<typeof finishRun>[1]]> => {
      const run = await player(withOutput);
      await run.start();
      await run.settle(await run.take("a"), "");
      const queueKey = run.profile.queueKeys[0] as string;
      const more = { epoch: "1", status: "completed" as const, value: "7", entryId: null };
      return [run, { runId: run.runId, queueKey, ...more }];
    };
    const [cancelled, late] = await finishing();
    expect(await cancelRun(p.scripts, cancelled.runId, "enough")).toBe("cancelled");
    expect(await finishRun(p.scripts, late)).toBe(false);
    expect((await cancelled.hash())["s"]).toBe("cancelled");
    const [finished, early] = await finishing();
    expect(await finishRun(p.scripts, early)).toBe(true);
    expect(await cancelRun(p.scripts, finished.runId, "late")).toBe("completed");
  });

  it("B6: a paused run is cancelled, and what it held goes nowhere", async () => {
    const run = await player();
    await run.start();
    await pauseRun(p.scripts, run.runId, "run");
    expect(await cancelRun(p.scripts, run.runId, "enough")).toBe("cancelled");
    expect(await resumeRun(p.scripts, run.runId, "run")).toMatchObject({ kind: "not_paused" });
    expect((await run.hash())["s"]).toBe("cancelled");
  });
});

describe("applyDelta", () => {
  it("is applied once per operation key, never below zero, and ends the run at zero", async () => {
    const run = await player();
    await run.start();
    expect(await applyDelta(p.scripts, run.runId, 2, "op1")).toEqual({ code: 0, counter: 3 });
    expect(await applyDelta(p.scripts, run.runId, 2, "op1")).toEqual({ code: 1, counter: 3 });
    expect((await applyDelta(p.scripts, run.runId, -4, "op2")).code).toBe(-13);
    expect(await applyDelta(p.scripts, run.runId, -3, "op3")).toEqual({ code: 0, counter: 0 });
    expect((await run.hash())["s"]).toBe("completed");
    expect((await applyDelta(p.scripts, run.runId, 1, "op4")).code).toBe(-1);
    await expect(applyDelta(p.scripts, run.runId, 0.5, "op5")).rejects.toThrow("GV_BADCALL");
  });
});

describe("leases", () => {
  it("renewal names what another consumer has taken over, and leaves it there", async () => {
    const run = await player();
    await run.start();
    const [token] = await run.read("old");
    const { queueKey, entryId } = token as NonNullable<typeof token>;
    expect(await renewLeases(p.scripts, queueKey, "old", [entryId])).toEqual([]);
    await p.redis.xclaim(queueKey, "workers", "new", 0, entryId);
    expect(await renewLeases(p.scripts, queueKey, "old", [entryId])).toEqual([entryId]);
    const pending = (await p.redis.xpending(queueKey, "workers", "-", "+", 1)) as [
      string,
      string,
    ][];
    expect(pending[0]?.[1]).toBe("new");
  });

  it.each([
    ["is not charged a delivery", false, 0],
    ["keeps it if charged", true, 1],
  ])("an entry handed back is stale at once and %s", async (_, charged, deliveries) => {
    const how = { consumer: "old", leaseMs: 30_000, charged };
    const run = await player();
    await run.start();
    const [token] = await run.read("old");
    const { queueKey, entryId } = token as NonNullable<typeof token>;
    expect(await handBack(p.scripts, queueKey, { ...how, consumer: "other" }, [entryId])).toBe(0);
    expect(await handBack(p.scripts, queueKey, how, [entryId])).toBe(1);
    const pending = (await p.redis.xpending(queueKey, "workers", "-", "+", 1)) as unknown[][];
    expect(pending[0]?.[2]).toBeGreaterThanOrEqual(30_000);
    expect(pending[0]?.[3]).toBe(deliveries);
  });

  it("A14: a consumer is removed only when nothing is pending for it", async () => {
    const run = await player();
    await run.start();
    const [token] = await run.read("old");
    const queueKey = (token as NonNullable<typeof token>).queueKey;
    expect(await removeConsumer(p.redis, queueKey, "old")).toBe(false);
    await run.settle(token as NonNullable<typeof token>, "");
    expect(await removeConsumer(p.redis, queueKey, "old")).toBe(true);
    expect(await removeConsumer(p.redis, queueKey, "old")).toBe(true);
  });

  it("A14: an intake is removed only when it holds no submission", async () => {
    const { submissions } = globalKeys;
    await p.redis.xgroup("CREATE", submissions, INTAKE_GROUP, "0", "MKSTREAM");
    const id = (await p.redis.xadd(submissions, "*", "submission", "{}")) as string;
    await p.redis.xreadgroup("GROUP", INTAKE_GROUP, "quiet", "STREAMS", submissions, ">");
    const remove = (): Promise<boolean> =>
      removeConsumer(p.redis, submissions, "quiet", INTAKE_GROUP);
    expect(await remove()).toBe(false);
    await p.redis.xack(submissions, INTAKE_GROUP, id);
    expect(await remove()).toBe(true);
    expect(await p.redis.xinfo("CONSUMERS", submissions, INTAKE_GROUP)).toEqual([]);
  });
});

describe("errors of a call", () => {
  it.each<[what: string, error: unknown, isServers: boolean]>([
    [
      "a primary that is one no more",
      new Error("READONLY You can't write against a replica"),
      true,
    ],
    ["a closed connection", new Error("Connection is closed."), true],
    ["a host away", Object.assign(new Error("connect"), { code: "ECONNREFUSED" }), true],
    ["a new epoch", new GavotteError("GV_PARTITION_UNCERTIFIED", "new"), true],
    ["a key of another type", new Error("WRONGTYPE Operation against a key"), false],
    ["a caller's mistake", new TypeError("undefined is not a function"), false],
    ["what is no error", "text", false],
  ])("%s: of the server or not", (_, error, isServers) => {
    expect(isServerTrouble(error)).toBe(isServers);
  });
});

describe("certificates", () => {
  it("a call waits while its scripts are missing, and goes on when they are loaded", async () => {
    const waits: boolean[] = [];
    const scripts = new ScriptRunner({
      redis: p.redis,
      deployment: "another",
      partition: 0,
      onUncertified: (waiting) => waits.push(waiting),
    });
    const call = releaseRuns(scripts, [], []);
    while (waits.length === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await p.scripts.redis.script("LOAD", certifiedSource("releaseRuns", "another", 0, 1));
    expect(await call).toBe(0);
    expect(waits).toEqual([true, false]);
  });

  it("gives up when its patience is over, and says what Redis says", async () => {
    const patient = { redis: p.redis, partition: 0, patienceMs: 200 };
    const scripts = new ScriptRunner({ ...patient, deployment: "none" });
    const uncertified = { code: "GV_PARTITION_UNCERTIFIED" };
    await expect(releaseRuns(scripts, [], [])).rejects.toMatchObject(uncertified);
    const transition = cancelRun(scripts, "nobody", "why");
    await expect(transition).rejects.toMatchObject(uncertified);
    await expect(transition).rejects.toThrow("not certified by a supervisor within 200 ms;");
    await expect(transition).rejects.toThrow("one runs, of the same version as this program");
  });

  it("says nothing of versions where there is no certificate at all", async () => {
    const patient = { redis: p.redis, partition: 1, patienceMs: 50 };
    const call = releaseRuns(new ScriptRunner({ ...patient, deployment: "none" }), [], []);
    await expect(call).rejects.toThrow('see that one runs ("gavotte doctor" tells)');
  });

  it("gives up when told to", async () => {
    const stop = new AbortController();
    const signal = stop.signal;
    const scripts = new ScriptRunner({ redis: p.redis, deployment: "none", partition: 0, signal });
    const call = releaseRuns(scripts, [], []);
    stop.abort();
    await expect(call).rejects.toMatchObject({ code: "GV_PARTITION_UNCERTIFIED" });
  });
});
