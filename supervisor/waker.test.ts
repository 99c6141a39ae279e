/** Waking and rebuilding: runs that fail at it hold up no others, and times are Redis'. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { beginWake, partitionKeys, redisTimeMs, stageBlobs } from "../sdk/internal.ts";
import { askToWake, suspectRuns } from "../sdk/postgres/index.ts";
import { emptyRedis, waitFor } from "../test/support/index.ts";
import { scanPartition } from "./audit/orphans.ts";
import { StreamIndex } from "./audit/streams.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { repairRuns, repairSuspects } from "./repair.ts";
import { SleepStage } from "./sleep.fixture.ts";
import { TestClock } from "./stack.fixture.ts";

const keys = partitionKeys(0);
const LARGE = "x".repeat(100_000);
const WORKFLOW = {
  name: "waker",
  nodes: [
    { id: "large", type: "transform", config: { expression: "input.text" } },
    { id: "a", type: "wait", config: { signal: "go" } },
  ],
  edges: [{ from: "large", to: "a" }],
};
const QUEUE_TIMEOUT_MS = 600_000;
/** Its step waits in a queue that nobody reads. */
const QUEUED = {
  name: "queued",
  nodes: [
    {
      ...{ id: "q", type: "function", queue: "nobody", queue_timeout_ms: QUEUE_TIMEOUT_MS },
      config: { function_name: "builtin.echo" },
    },
  ],
  edges: [],
};

let stage: SleepStage;
let bad: string;
let good: string;
let queued: string;

beforeAll(async () => {
  stage = await SleepStage.open(async (client) => {
    const submit = async (): Promise<string> => {
      const runId = await client.submit({ workflow: WORKFLOW, input: { text: LARGE } });
      await waitFor(async () => (await client.status(runId)).nodes["a"]?.status === "waiting");
      return runId;
    };
    [bad, good] = [await submit(), await submit()];
    queued = await client.submit({ workflow: QUEUED });
    await waitFor(async () => (await client.status(queued)).nodes["q"]?.status === "ready");
  });
  await stage.releaser.start();
});
afterAll(() => stage.close());

async function update(runId: string, set: string): Promise<void> {
  await stage.engine.db.query(
    { name: `set ${set}`, text: `UPDATE runs SET ${set} WHERE id = $1` },
    [runId],
  );
}

/** A run that is asleep, and that somebody wants awake. */
async function askedFor(runId: string, atMs = 0): Promise<void> {
  expect(await stage.sleep(runId)).toBe("asleep");
  await stage.committed(runId);
  await waitFor(async () => (await stage.engine.redis.exists(keys.run(runId))) === 0, {
    describe: "its keys stay",
  });
  await update(runId, `wakes_at_ms = ${atMs}`);
}

const status = (runId: string): Promise<string | null> =>
  stage.engine.redis.hget(keys.run(runId), "s");

/** The run's input as it is stored. */
async function damaged(runId: string): Promise<() => Promise<void>> {
  await update(runId, "input = '~' || input");
  return () => update(runId, "input = substr(input, 2)");
}

/** A supervisor of which a test is shown what it sends to scripts. */
function shown(tell: (args: readonly unknown[]) => void): SupervisorContext {
  const own = { ...stage.context };
  const scripts = scriptsOf(own, 0);
  const transition = scripts.transition.bind(scripts);
  scripts.transition = (...call) => {
    tell(call[2]);
    return transition(...call);
  };
  return own;
}

beforeEach(async () => {
  for (const runId of [bad, good]) {
    await askToWake(stage.engine.db, [runId]);
    await stage.wake(runId);
  }
});

describe("a run that cannot be woken", () => {
  it("is put off, and wakes when what is wrong with it is mended; others wake at once", async () => {
    await askedFor(bad, 0);
    await askedFor(good, 1);
    const mend = await damaged(bad);
    await stage.waker().look();
    expect(await stage.row(good)).toMatchObject({ asleepSinceMs: null });
    expect(await status(good)).toBe("running");
    const { asleepSinceMs, wakesAtMs } = await stage.row(bad);
    expect(wakesAtMs).toBeGreaterThan(asleepSinceMs ?? Infinity);
    expect((await stage.why(bad))?.reasons).toMatchObject([
      { kind: "asleep", text: expect.stringMatching(/cannot be woken: .*JSON/) as string },
    ]);
    await mend();
    await askToWake(stage.engine.db, [bad]);
    expect(await stage.wake(bad)).toMatchObject({ status: "RUNNING" });
  });

  it("since something else stands in its place is rebuilt, and awake by that; others wake at once", async () => {
    await askedFor(bad, 0);
    await askedFor(good, 1);
    await stage.engine.redis.set(keys.run(bad), "put here by hand");
    await stage.waker().look();
    expect(await stage.row(good)).toMatchObject({ asleepSinceMs: null });
    expect(await status(good)).toBe("running");
    expect(await stage.wake(bad)).toMatchObject({ status: "RUNNING" });
    const isBack = async (): Promise<boolean> =>
      (await stage.engine.redis.type(keys.run(bad))) === "hash" &&
      (await status(bad)) === "running";
    await waitFor(isBack, { describe: "it is not rebuilt" });
  });

  it("stays due when it is its server that fails, and others are written all the same", async () => {
    await askedFor(bad, 0);
    await askedFor(good, 1);
    const failing = shown((args) => {
      const isWake = args.includes("DEL") && args.includes(keys.run(bad));
      if (isWake) {
        throw new Error("the connection is lost");
      }
    });
    await expect(stage.waker(failing).look()).rejects.toThrow("the connection is lost");
    expect(await stage.row(good)).toMatchObject({ asleepSinceMs: null });
    expect(await stage.row(bad)).toMatchObject({ wakesAtMs: 0 });
  });
});

describe("large values of a sleeping run", () => {
  it("are no part of the call that wakes it, and stay with it", async () => {
    const blobs = keys.blobs(good);
    const before = await stage.engine.redis.hgetall(blobs);
    const kept = [LARGE, { text: LARGE }].map((value) => JSON.stringify(value)); // its input, too
    expect(Object.values(before).sort()).toEqual(kept.sort());
    await askedFor(good);
    let chars = 0;
    const waker = stage.waker(shown((args) => (chars += args.join("").length)));
    await stage.wake(good, waker);
    expect(chars).toBeLessThan(LARGE.length);
    expect(await stage.engine.redis.hgetall(blobs)).toEqual(before);
    expect(await stage.engine.redis.pttl(blobs)).toBe(-1);
  });

  it("do not expire because somebody comes late with the same ones", async () => {
    const late = await stageBlobs(stage.engine.db, stage.scripts, good);
    expect(await stage.engine.redis.pttl(late ?? "")).toBeGreaterThan(0);
    expect(await stage.engine.redis.pttl(keys.blobs(good))).toBe(-1);
  });
});

describe("a run that cannot be rebuilt", () => {
  it("is marked and tried again; its partition is certified with all others", async () => {
    const mend = await damaged(bad);
    await emptyRedis(stage.engine.redis);
    await waitFor(async () => (await status(good)) === "running", {
      timeoutMs: 20_000,
      describe: "the partition is not rebuilt",
    });
    await waitFor(async () => (await stage.engine.redis.hget(keys.meta, "epoch")) !== null);
    expect(await status(bad)).toBeNull();
    expect(await suspectRuns(stage.engine.db, 0, "", 9)).toEqual([bad]);
    await repairSuspects(stage.context, 0);
    expect(await suspectRuns(stage.engine.db, 0, "", 9)).toEqual([bad]);
    await mend();
    await repairSuspects(stage.context, 0);
    expect(await suspectRuns(stage.engine.db, 0, "", 9)).toEqual([]);
    expect(await status(bad)).toBe("running");
    expect(await stage.engine.redis.hget(keys.run(bad), "e")).toBe(
      String((await stage.row(bad)).epoch),
    );
  });
});

describe("a run that is rebuilt by a supervisor whose clock is wrong", () => {
  it("has the time in its queue from then on, by Redis' clock", async () => {
    const { redis } = stage.engine;
    const clock = new TestClock();
    clock.setAheadMs = 3_600_000;
    await redis.del(keys.run(queued));
    const beforeMs = await redisTimeMs(stage.scripts);
    await repairRuns({ ...stage.context, clock }, 0, [queued]);
    const afterMs = await redisTimeMs(stage.scripts);
    const late = await redis.hget(keys.run(queued), "d0");
    const dueMs = Number(await redis.zscore(keys.timers, late ?? ""));
    expect(dueMs).toBeGreaterThanOrEqual(beforeMs + QUEUE_TIMEOUT_MS);
    expect(dueMs).toBeLessThanOrEqual(afterMs + QUEUE_TIMEOUT_MS);
  });
});

describe("a waker that is late", () => {
  it("leaves nothing in the place of a run that has ended, though it dies there", async () => {
    await askedFor(good);
    const seq = (await stage.row(good)).sleepSeq ?? 0;
    await stage.wake(good);
    await stage.client.cancel(good, "enough");
    const isGone = async (): Promise<boolean> =>
      (await stage.engine.redis.exists(keys.run(good))) === 0;
    await waitFor(isGone, { describe: "it is not released" });
    // It has read the row before all that, and dies with its ticket written.
    const [turn] = await beginWake(stage.scripts, "late", [{ runId: good, seq }]);
    expect(turn).toEqual({ kind: "yours" });
    await waitFor(isGone, { timeoutMs: 20_000, describe: "the ticket stays" });
    expect(await stage.engine.redis.zscore(keys.release, good)).toBeNull();
  });

  it("is on the list of releases for as long as it has a ticket, and no drift", async () => {
    await askedFor(bad);
    const seq = (await stage.row(bad)).sleepSeq ?? 0;
    await beginWake(stage.scripts, "first", [{ runId: bad, seq }]);
    expect(await stage.engine.redis.zscore(keys.release, bad)).not.toBeNull();
    const streams = new StreamIndex(stage.engine.redis);
    const { orphans } = await scanPartition(stage.engine.redis, 0, streams);
    expect(orphans.filter(({ runId }) => runId === bad)).toEqual([]);
    await stage.wake(bad);
    expect(await stage.engine.redis.zscore(keys.release, bad)).toBeNull();
  });
});
