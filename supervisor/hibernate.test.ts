/** Falling asleep and waking, with a supervisor that dies at every step of it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  beginWake,
  partitionKeys,
  pauseRun,
  wakeRun,
  type HibernateAnswer,
} from "../sdk/internal.ts";
import {
  askToWake,
  claimWake,
  listPauses,
  readJournal,
  type RunRow,
} from "../sdk/postgres/index.ts";
import type { Client } from "../sdk/index.ts";
import type { Engine } from "../test/harness/engine.ts";
import { allKeys, emptyRedis, intercepted, waitFor } from "../test/support/index.ts";
import type { SupervisorContext } from "./context.ts";
import { Releaser } from "./release.ts";
import { PauseWatch } from "./pauses.ts";
import { SleepStage } from "./sleep.fixture.ts";

const keys = partitionKeys(0);
const WORKFLOW = {
  name: "sleeper",
  nodes: [
    { id: "a", type: "wait", config: { signal: "go" }, timeout_ms: 3_600_000 },
    { id: "b", type: "wait", config: { signal: "stop" } },
    { id: "c", type: "parallel" },
    { id: "d", type: "wait", config: { signal: "more" } },
  ],
  edges: [
    { from: "a", to: "c" },
    { from: "b", to: "c" },
    { from: "c", to: "d" },
  ],
  settings: { timeout_ms: 7_200_000 },
};

let stage: SleepStage;
let engine: Engine;
let client: Client;
let context: SupervisorContext;
let runId: string;

beforeAll(async () => {
  stage = await SleepStage.open(async (own) => {
    runId = await own.submit({ workflow: WORKFLOW });
    await own.signal(runId, "more", 1, { id: "early" });
    await own.signal(runId, "more", 2, { id: "kept" });
    await waitFor(async () => (await own.status(runId)).nodes["b"]?.status === "waiting", {
      describe: "it does not wait",
    });
  });
  ({ engine, client, context } = stage);
});
afterAll(() => stage.close());

const sleep = (): Promise<HibernateAnswer | undefined> => stage.sleep(runId);
const rowOf = (): Promise<RunRow> => stage.row(runId);
const committed = (): Promise<number> => stage.committed(runId);
const wake = (): Promise<RunRow> => stage.wake(runId);

/** What the run has in Redis, but for its epoch and its ticket. */
async function stateOf(): Promise<unknown> {
  const { e: epoch, ...hash } = await engine.redis.hgetall(keys.run(runId));
  const signals = await engine.redis.hgetall(keys.signals(runId));
  const timers = await engine.redis.zrange(keys.timers, 0, -1, "WITHSCORES");
  const plain = (text: string): string => text.replaceAll(`${runId}|${epoch}|`, `${runId}|E|`);
  const told = Object.entries(hash).map(([field, value]) => [field, plain(value)]);
  return { hash: Object.fromEntries(told) as unknown, signals, timers: timers.map(plain).sort() };
}

const CALLS = new Set(["evalsha", "hget", "hmget", "time", "set", "zadd", "query"]);

/** A supervisor that dies before or after its n-th call of a store. */
function dying(at: number, after: boolean): SupervisorContext & { calls: number } {
  const told = { calls: 0 };
  const counted = async (call: () => unknown): Promise<unknown> => {
    told.calls += 1;
    const isLast = told.calls === at;
    if (told.calls > at || (isLast && !after)) {
      throw new Error("died");
    }
    const reply = await call();
    if (isLast) {
      throw new Error("died");
    }
    return reply;
  };
  const wrap = <T extends object>(store: T): T =>
    intercepted(store, (name, call) => {
      return CALLS.has(name) ? (...args) => counted(() => call(...args)) : call;
    });
  const { redis, db } = context;
  return Object.assign(told, { ...context, redis: wrap(redis), db: wrap(db) });
}

beforeEach(async () => {
  await askToWake(engine.db, [runId]);
  await wake();
});

describe("a supervisor that dies", () => {
  it("before the keys are removed leaves that to the sweep", async () => {
    await stage.releaser.stop(1000);
    expect(await sleep()).toBe("asleep");
    await committed();
    expect(await engine.redis.hget(keys.run(runId), "s")).toBe("asleep");
    const next = new Releaser(context, 0);
    await next.start();
    await waitFor(async () => (await engine.redis.exists(keys.run(runId))) === 0, {
      describe: "its keys stay",
    });
    await next.stop(1000);
    expect(await allKeys(engine.redis, `*${runId}*`)).toEqual([]);
    expect(await engine.redis.zcard(keys.timers)).toBe(0);
  });

  it.each([false, true])("anywhere in a wake (after its call: %s) harms nothing", async (after) => {
    const before = await stateOf();
    let at = 1;
    for (; ; at++) {
      expect(await sleep()).toBe("asleep");
      await committed();
      await askToWake(engine.db, [runId]);
      const doomed = dying(at, after);
      await stage
        .waker(doomed)
        .look()
        .catch(() => undefined);
      const isWhole = doomed.calls < at;
      const row = await wake();
      expect([at, await stateOf()]).toEqual([at, before]);
      expect(await engine.redis.hget(keys.run(runId), "e")).toBe(String(row.epoch));
      if (isWhole) {
        break;
      }
    }
    expect(at).toBeGreaterThan(8);
  });
});

it("a wake that fails in the middle of its script leaves a run that is repaired", async () => {
  const before = await stateOf();
  expect(await sleep()).toBe("asleep");
  const seq = await committed();
  await beginWake(stage.scripts, "mine", [{ runId, seq }]);
  const run = keys.run(runId);
  const commands = [
    ["DEL", run],
    ["HSET", run, "s", "running", "e", "77"],
    ["HSET", keys.timers, "of another", "type"],
  ];
  await engine.redis.zadd(keys.timers, 1, "so that it is there");
  await expect(wakeRun(stage.scripts, { runId, ticket: "mine", commands })).rejects.toThrow(
    /WRONG/,
  );
  await engine.redis.zrem(keys.timers, "so that it is there");
  await waitFor(async () => (await engine.redis.hget(run, "s")) === "running", {
    describe: "it is not repaired",
  });
  await waitFor(async () => (await stage.row(runId)).asleepSinceMs === null, {
    describe: "its row is asleep",
  });
  expect(await stateOf()).toEqual(before);
});

describe("two wakers", () => {
  it("one that was held up does not write over what the other has woken", async () => {
    const before = await stateOf();
    expect(await sleep()).toBe("asleep");
    const seq = await committed();
    const scripts = stage.scripts;
    const [turn] = await beginWake(scripts, "slow", [{ runId, seq }]);
    expect(turn).toEqual({ kind: "yours" });
    expect(await claimWake(engine.db, [runId])).toHaveLength(1);
    await askToWake(engine.db, [runId]);
    await wake();
    const commands = [["DEL", keys.run(runId)]];
    expect(await wakeRun(scripts, { runId, ticket: "slow", commands })).toBe(false);
    expect(await stateOf()).toEqual(before);
    // It sleeps and is woken again: the ticket is still of no use.
    expect(await sleep()).toBe("asleep");
    await committed();
    expect(await wakeRun(scripts, { runId, ticket: "slow", commands })).toBe(false);
    await askToWake(engine.db, [runId]);
    await wake();
    expect(await stateOf()).toEqual(before);
  });

  it("nobody wakes a run whose sleep is not committed", async () => {
    await stage.holdArchive();
    expect(await sleep()).toBe("asleep");
    const [turn] = await beginWake(stage.scripts, "early", [{ runId, seq: 1 }]);
    expect(turn).toEqual({ kind: "later" });
    await stage.archive();
    await committed();
    await askToWake(engine.db, [runId]);
    await wake();
  });
});

describe("its workflow is paused while the sleeper freezes it", () => {
  const watch = (): Promise<void> => new PauseWatch(context).look();
  const status = (): Promise<string | null> => engine.redis.hget(keys.run(runId), "s");
  const resumed = async (): Promise<void> => {
    await client.operations.resumeWorkflow({ name: WORKFLOW.name });
    const waker = stage.waker();
    await waitFor(
      async () => {
        await watch();
        await waker.look();
        return (await status()) === "running";
      },
      { describe: "it stays paused" },
    );
  };

  it("the pause comes first: it sleeps paused, and the end of the pause wakes it", async () => {
    const before = await stateOf();
    await client.operations.pauseWorkflow({ name: WORKFLOW.name });
    await watch();
    expect(await status()).toBe("paused");
    expect(await sleep()).toBe("asleep");
    await committed();
    expect(await rowOf()).toMatchObject({
      status: "PAUSED",
      sleepCauses: "w",
      wakesAtMs: expect.any(Number) as number,
    });
    await watch(); // there is nothing left to pause
    await resumed();
    expect(await stateOf()).toEqual(before);
  });

  it("the sleep comes first: it is paused when it wakes, and not before", async () => {
    const before = await stateOf();
    await stage.holdArchive();
    expect(await sleep()).toBe("asleep");
    await client.operations.pauseWorkflow({ name: WORKFLOW.name });
    await watch(); // its row does not say yet that it sleeps
    expect(await status()).toBe("asleep");
    await stage.archive();
    await committed();
    expect(await rowOf()).toMatchObject({ status: "RUNNING", sleepCauses: "" });
    await askToWake(engine.db, [runId]);
    await wake();
    expect(await status()).toBe("paused");
    await resumed();
    expect(await stateOf()).toEqual(before);
  });

  it("the pause ends while it falls asleep: it is not forgotten", async () => {
    await client.operations.pauseWorkflow({ name: WORKFLOW.name });
    await watch();
    // Whose row does not say so yet is found otherwise: by what sleeps paused and no pause names.
    await waitFor(async () => (await rowOf()).status === "PAUSED");
    await stage.holdArchive();
    expect(await sleep()).toBe("asleep");
    await client.operations.resumeWorkflow({ name: WORKFLOW.name });
    // So late, by the database's clock, that no start of before can come any more.
    const text = "UPDATE pauses SET changed_at_ms = changed_at_ms - 3600000";
    await engine.db.query({ name: "test_hour", text });
    await watch();
    expect(await listPauses(engine.db)).toHaveLength(1);
    await stage.archive();
    await committed();
    await watch(); // its row says why it sleeps paused
    await wake();
    expect(await status()).toBe("running");
    await watch();
    expect(await listPauses(engine.db)).toEqual([]);
  });

  it("no pause names why it sleeps paused: it is woken, and goes on", async () => {
    // By a supervisor that hung while others forgot the pause.
    await pauseRun(stage.scripts, runId, "workflow");
    expect(await sleep()).toBe("asleep");
    await committed();
    await wake();
    expect(await status()).toBe("running");
  });
});

describe("Redis lost", () => {
  it("between the wake and the row's word for it: the run is woken once more", async () => {
    expect(await sleep()).toBe("asleep");
    await committed();
    await askToWake(engine.db, [runId]);
    // It dies with the call that would say so.
    for (let at = 8; (await engine.redis.hget(keys.run(runId), "s")) !== "running"; at++) {
      await stage
        .waker(dying(at, false))
        .look()
        .catch(() => undefined);
    }
    expect((await rowOf()).asleepSinceMs).not.toBeNull();
    await emptyRedis(engine.redis);
    await waitFor(async () => (await engine.redis.hget(keys.meta, "epoch")) !== null, {
      timeoutMs: 20_000,
      describe: "the partition is not rebuilt",
    });
    expect(await engine.redis.exists(keys.run(runId))).toBe(0);
    const row = await wake();
    expect(await engine.redis.hget(keys.run(runId), "e")).toBe(String(row.epoch));
    expect((await client.signal(runId, "more", 3, { id: "kept" })).outcome).toBe("repeated");
    expect((await client.signal(runId, "go", 3)).outcome).toBe("delivered");
    expect((await client.signal(runId, "stop", 3)).outcome).toBe("delivered");
    const ended = await client.ended(runId, { timeoutMs: 20_000 });
    expect(ended.status).toBe("COMPLETED");
    const ends = (await readJournal(engine.db, runId)).filter(
      ({ transition }) => transition.e === "run.completed",
    );
    expect(ends).toHaveLength(1);
  });
});
