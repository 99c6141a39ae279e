/** A run that cannot be repaired, or woken, ends all the same: by itself, or by whoever cancels it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient } from "../sdk/index.ts";
import { cancelRun, partitionKeys, suspectRun } from "../sdk/internal.ts";
import { readJournal, suspectRuns } from "../sdk/postgres/index.ts";
import { publish } from "../test/harness/publish.ts";
import { emptyRedis, waitFor } from "../test/support/index.ts";
import { repairSuspects } from "./repair.ts";
import { REPAIRS_MAX } from "./repair-tries.ts";
import { SleepStage } from "./sleep.fixture.ts";

const keys = partitionKeys(0);
const sub = (name: string, of: string): object => ({
  metadata: { name, version: "1" },
  nodes: [{ id: "sub", type: "subworkflow", config: { workflow: of } }],
  edges: [],
});
const leaf = {
  metadata: { name: "leaf", version: "1" },
  nodes: [{ id: "a", type: "wait", config: { signal: "go" } }],
  edges: [],
};

let stage: SleepStage;
let root: string;
let plain: string;
let lost: string;
let sleeper: string;

beforeAll(async () => {
  stage = await SleepStage.open(async (client, engine) => {
    await publish(engine.db, leaf);
    await publish(engine.db, sub("middle", "leaf"));
    const start = (workflow: object): Promise<string> => client.submit({ workflow } as never);
    [root, plain, lost, sleeper] = [
      await start(sub("root", "middle")),
      await start(leaf),
      await start(leaf),
      await start(leaf),
    ];
    for (const id of [await childOf(client, await childOf(client, root)), plain, lost, sleeper]) {
      await waitFor(async () => (await client.status(id)).nodes["a"]?.status === "waiting");
    }
  });
  await stage.releaser.start();
  await stage.children.start();
});
afterAll(async () => {
  await stage.children.stop(1000);
  await stage.close();
});

const childOf = (client: SleepStage["client"], runId: string): Promise<string> =>
  waitFor(async () => (await client.status(runId)).children?.[0]?.run_id);

/** The input that the run was given cannot be read any more. */
async function damage(runId: string): Promise<void> {
  const text = "UPDATE runs SET input = '~' || input WHERE id = $1";
  await stage.engine.db.query({ name: "damage", text }, [runId]);
}

/** Frozen, and its repair has failed once. */
async function frozen(runId: string): Promise<void> {
  await damage(runId);
  const [status, epoch] = await stage.engine.redis.hmget(keys.run(runId), "s", "e");
  const seen = { runId, status: status ?? "", epoch: epoch ?? "" };
  expect(await suspectRun(stage.scripts, seen)).toBe("marked");
  await waitFor(() => hasFailed(runId));
}

const hasFailed = async (runId: string): Promise<boolean> =>
  (await stage.engine.redis.hget(keys.run(runId), "rpe")) !== null;
const reasonOf = async (runId: string): Promise<unknown> => (await stage.why(runId))?.reasons[0];
const isReleased = async (runId: string): Promise<boolean> =>
  (await stage.engine.redis.exists(keys.run(runId))) === 0;
const eventsOf = async (runId: string): Promise<string[]> =>
  (await readJournal(stage.engine.db, runId)).map(({ transition }) => transition.e);
const statusOf = async (runId: string): Promise<string> => (await stage.row(runId)).status;

describe("a run whose repair fails again and again", () => {
  it("ends as FAILED after the last try: its parent goes on, its child is cancelled", async () => {
    const middle = await childOf(stage.client, root);
    const child = await childOf(stage.client, middle);
    await frozen(middle);
    expect(await reasonOf(middle)).toMatchObject({
      kind: "suspect",
      text: expect.stringMatching(new RegExp(`1 of ${REPAIRS_MAX} tries.* not valid JSON`)),
    });
    for (let tries = 2; tries <= REPAIRS_MAX; tries++) {
      expect(await statusOf(middle)).toBe("RUNNING");
      await repairSuspects(stage.context, 0);
    }
    await waitFor(async () => (await statusOf(root)) === "FAILED");
    const error = JSON.parse((await stage.row(middle)).error ?? "{}") as object;
    expect(error).toMatchObject({
      code: "NOT_REPAIRED",
      message: expect.stringContaining("not valid JSON"),
      details: { repair: expect.stringContaining("not valid JSON") },
    });
    await waitFor(async () => (await statusOf(child)) === "CANCELLED");
    for (const id of [middle, child, root]) {
      await waitFor(() => isReleased(id), { describe: `the keys of ${id} stay` });
    }
    await repairSuspects(stage.context, 0);
    expect(await suspectRuns(stage.engine.db, 0, "", 9)).toEqual([]);
  });

  it("is cancelled at once, and not while a try is under way", async () => {
    await frozen(plain);
    const { redis } = stage.engine;
    const tries = Number(await redis.hget(keys.run(plain), "rp"));
    await redis.hset(keys.run(plain), "rp", -tries);
    expect(await cancelRun(stage.scripts, plain, "enough")).toBe("busy");
    await redis.hset(keys.run(plain), "rp", tries);
    await stage.client.cancel(plain, "enough");
    await waitFor(async () => (await statusOf(plain)) === "CANCELLED");
    expect(JSON.parse((await stage.row(plain)).error ?? "{}")).toMatchObject({
      ...{ code: "CANCELLED", message: "enough" },
      details: { repair: expect.stringContaining("not valid JSON") },
    });
    await repairSuspects(stage.context, 0);
    await waitFor(() => isReleased(plain));
    expect(await suspectRuns(stage.engine.db, 0, "", 9)).toEqual([]);
    expect((await eventsOf(plain)).slice(-2)).toEqual(["run.suspect", "run.cancelled"]);
  });
});

describe("a run that cannot be", () => {
  it("woken is cancelled where it sleeps", async () => {
    expect(await stage.sleep(sleeper)).toBe("asleep");
    await stage.committed(sleeper);
    await waitFor(() => isReleased(sleeper));
    await damage(sleeper);
    const waker = stage.waker();
    await waker.start();
    const { redisUrl, db: database } = stage.engine;
    const hasty = await createClient({ redisUrl, database, submitTimeoutMs: 500 });
    await waitFor(async () => {
      await hasty.cancel(sleeper, "enough").catch(() => undefined); // it has to be tried first
      return (await statusOf(sleeper)) === "CANCELLED";
    });
    await hasty.close();
    await waker.stop(1000);
    await waitFor(() => isReleased(sleeper));
    expect((await stage.row(sleeper)).asleepSinceMs).toBeNull();
  });

  it("put back into an empty Redis is cancelled through the journal", async () => {
    await damage(lost);
    await emptyRedis(stage.engine.redis);
    const isMarked = async (): Promise<boolean> =>
      (await suspectRuns(stage.engine.db, 0, "", 9)).includes(lost);
    await waitFor(isMarked, { timeoutMs: 20_000 });
    await waitFor(async () => (await stage.engine.redis.hget(keys.meta, "epoch")) !== null);
    await repairSuspects(stage.context, 0);
    await stage.client.cancel(lost, "enough");
    await waitFor(async () => (await statusOf(lost)) === "CANCELLED");
    expect((await eventsOf(lost)).at(-1)).toBe("run.cancelled");
    await waitFor(() => isReleased(lost));
  });
});
