/** What befalls a run between its freeze and the archive's word for it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { partitionKeys, suspectRun } from "../sdk/internal.ts";
import { askToWake } from "../sdk/postgres/index.ts";
import { emptyRedis, waitFor } from "../test/support/index.ts";
import { findDrifts } from "./audit/audit-run.ts";
import type { Explanation } from "./explain.ts";
import { SleepStage } from "./sleep.fixture.ts";

const keys = partitionKeys(0);
const WORKFLOW = {
  name: "dozer",
  nodes: [{ id: "a", type: "wait", config: { signal: "go" }, timeout_ms: 3_600_000 }],
  edges: [],
};

let stage: SleepStage;
let runId: string;

beforeAll(async () => {
  stage = await SleepStage.open(async (client) => {
    runId = await client.submit({ workflow: WORKFLOW });
    await waitFor(async () => (await client.status(runId)).nodes["a"]?.status === "waiting");
  });
});
afterAll(() => stage.close());

beforeEach(async () => {
  await askToWake(stage.engine.db, [runId]);
  await stage.wake(runId);
});

const status = (): Promise<string | null> => stage.engine.redis.hget(keys.run(runId), "s");
const why = (): Promise<Explanation | null> => stage.why(runId);
const drifts = async (): Promise<unknown[]> => findDrifts(stage.context, 0, runId);

/** Freezes the run; that is not archived. */
async function frozen(): Promise<void> {
  await stage.holdArchive();
  expect(await stage.sleep(runId)).toBe("asleep");
}

describe("a very large run", () => {
  it("stays awake: no call looks through all of it", async () => {
    const fields = Array.from({ length: 20_000 }, (_, i) => [`z${i}`, "1"]);
    await stage.engine.redis.hset(keys.run(runId), Object.fromEntries(fields) as object);
    expect(await stage.sleep(runId)).toBe("busy");
    await stage.engine.redis.hdel(keys.run(runId), ...fields.map(([name = ""]) => name));
    expect(await stage.sleep(runId)).toBe("asleep");
    await stage.committed(runId);
  });
});

describe("a run that is falling asleep", () => {
  it("is no drift, archived or not", async () => {
    await frozen();
    expect(await drifts()).toEqual([]);
    await stage.archive();
    await stage.committed(runId);
    expect(await status()).toBe("asleep");
    expect(await drifts()).toEqual([]);
  });

  it("is told so by why, with what it waits for, before and after it is archived", async () => {
    await frozen();
    expect(await why()).toMatchObject({
      status: "asleep",
      reasons: [{ kind: "falling_asleep" }, { kind: "wait", node: "a" }],
    });
    await stage.archive();
    await stage.committed(runId);
    expect(await why()).toMatchObject({
      status: "asleep",
      reasons: [{ kind: "asleep" }, { kind: "wait", node: "a" }],
    });
  });

  it("and is repaired then is awake in Postgres, too: it outlives the loss of Redis", async () => {
    await frozen();
    const epoch = (await stage.engine.redis.hget(keys.run(runId), "e")) ?? "";
    expect(await suspectRun(stage.scripts, { runId, status: "asleep", epoch })).toBe("marked");
    await stage.archive();
    await waitFor(async () => (await status()) === "running", { describe: "it is not repaired" });
    expect(await stage.row(runId)).toMatchObject({
      status: "RUNNING",
      asleepSinceMs: null,
      sleepSeq: null,
      wakesAtMs: null,
      sleepCauses: null,
    });
    await emptyRedis(stage.engine.redis);
    await waitFor(async () => (await status()) === "running", {
      timeoutMs: 20_000,
      describe: "it is not rebuilt",
    });
  });
});
