/** Runs that wait for long, in a whole engine: they leave Redis, and come back for whatever comes. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/index.ts";
import { partitionKeys, pauseRun } from "../../sdk/internal.ts";
import { askToWake, listRuns, readRun, type RunRow } from "../../sdk/postgres/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";
import { allKeys, emptyRedis, waitFor } from "../support/index.ts";

const keys = partitionKeys(0);
let engine: Engine;
let client: Client;

beforeAll(async () => {
  engine = await startEngine({ hibernateAfterMs: 200 });
  await engine.worker();
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});
beforeEach(async () => {
  await engine.redis.hset(keys.meta, "clock", 0);
});

const gate = (id: string): object => ({ id, type: "wait", config: { signal: "go" } });
const run = (name: string, nodes: readonly object[], more: object = {}): object => {
  const ids = nodes.map((node) => (node as { id: string }).id);
  const edges = ids.slice(1).map((to, i) => ({ from: ids[i], to }));
  return { workflow: { name, nodes, edges, ...more } };
};

/** The row of a run that is asleep and has left Redis. */
async function asleep(runId: string): Promise<RunRow> {
  return waitFor(
    async () => {
      const row = await readRun(engine.db, runId);
      const there = await engine.redis.exists(keys.run(runId), keys.signals(runId));
      const hasLeft = row !== null && row.asleepSinceMs !== null && there === 0;
      return hasLeft ? row : undefined;
    },
    { timeoutMs: 20_000, describe: `${runId} does not fall asleep` },
  );
}

async function childOf(runId: string): Promise<string> {
  const found = await waitFor(
    async () => (await listRuns(engine.db, { parent: runId, limit: 1 }))[0],
    {
      describe: `${runId} has no child`,
    },
  );
  return found.id;
}

const outputOf = async (runId: string): Promise<unknown> => {
  const row = await client.ended(runId, { timeoutMs: 20_000 });
  return row.status === "COMPLETED" ? JSON.parse(row.output ?? "null") : row.status;
};

describe("a run that waits for long", () => {
  it("leaves Redis with everything it had, and goes on with a signal", async () => {
    const runId = await client.submit(run("h-signal", [gate("a"), gate("b")]));
    const row = await asleep(runId);
    expect(row).toMatchObject({ status: "RUNNING", wakesAtMs: null });
    const left = await allKeys(engine.redis, `*${runId}*`);
    expect(left).toEqual([]);
    expect(await engine.redis.zcard(keys.timers)).toBe(0);
    const receipt = await client.signal(runId, "go", 1, { id: "one" });
    expect(receipt.outcome).toBe("delivered");
    expect(await client.signal(runId, "go", 1, { id: "one" })).toMatchObject({
      outcome: "repeated",
    });
    await asleep(runId);
    expect(await client.signal(runId, "go", 1, { id: "one" })).toMatchObject({
      outcome: "repeated",
    });
    await asleep(runId);
    await client.signal(runId, "go", "last");
    expect(await outputOf(runId)).toBe("last");
    expect(await readRun(engine.db, runId)).toMatchObject({ asleepSinceMs: null });
  });

  it("is woken before its timer is due", async () => {
    const document = run("h-timer", [{ ...gate("a"), timeout_ms: 3_600_000 }]);
    const runId = await client.submit(document);
    const row = await asleep(runId);
    const inMs = (row.wakesAtMs ?? 0) - (row.asleepSinceMs ?? 0);
    expect(inMs).toBeGreaterThan(3_500_000);
    expect(inMs).toBeLessThanOrEqual(3_600_000);
    await engine.redis.hset(keys.meta, "clock", 3_600_000);
    expect(await outputOf(runId)).toBe("FAILED");
  });
});

describe("what comes for a sleeping run", () => {
  it("a callback finds its wait by the token that was given out before", async () => {
    const runId = await client.submit(run("h-callback", [gate("a")]));
    await asleep(runId);
    const { nodes } = await client.status(runId);
    const token = nodes["a"]?.wait?.token ?? "";
    expect(await client.callback(token, "ready")).toMatchObject({ outcome: "delivered" });
    expect(await outputOf(runId)).toBe("ready");
  });

  it("an approval of two people is counted across sleeps", async () => {
    const config = { title: "Ship?", required: 2 };
    const document = run("h-approval", [{ id: "ask", type: "human", config }]);
    const runId = await client.submit(document);
    await asleep(runId);
    const [approval] = await client.approvals({ runId });
    const id = approval?.id ?? "";
    expect(await client.decide(id, { approved: true, actor: "ann" })).toMatchObject({
      state: "open",
    });
    await asleep(runId);
    expect(await client.decide(id, { approved: true, actor: "ann" })).toMatchObject({
      repeated: true,
    });
    expect(await client.decide(id, { approved: true, actor: "bob" })).toMatchObject({
      state: "approved",
    });
    expect(await outputOf(runId)).toMatchObject({ approved: true });
  });

  it("a cancel ends it, with its end in the journal", async () => {
    const runId = await client.submit(run("h-cancel", [gate("a")]));
    await asleep(runId);
    await client.cancel(runId, "enough");
    expect((await client.ended(runId, { timeoutMs: 10_000 })).status).toBe("CANCELLED");
    expect((await client.view(runId)).status).toBe("CANCELLED");
  });

  it("pause, resume and an order for a node reach it", async () => {
    const runId = await client.submit(run("h-orders", [gate("a")]));
    await asleep(runId);
    await client.operations.pause(runId);
    await client.operations.resume(runId);
    await asleep(runId);
    await client.operations.intervene(runId, "a", { action: "complete", output: 7, by: "ann" });
    expect(await outputOf(runId)).toBe(7);
  });

  it("ten signals at once are each delivered or kept once", async () => {
    const runId = await client.submit(
      run(
        "h-many",
        ["a", "b", "c", "d", "e", "f"].map((id) => gate(id)),
      ),
    );
    await asleep(runId);
    const ids = Array.from({ length: 10 }, (_, i) => `s${i % 5}`);
    const receipts = await Promise.all(ids.map((id) => client.signal(runId, "go", id, { id })));
    expect(receipts.filter(({ outcome }) => outcome === "repeated")).toHaveLength(5);
    await client.signal(runId, "go", "the sixth");
    expect(await outputOf(runId)).toBe("the sixth");
    const { nodes } = await client.status(runId);
    const given = ["a", "b", "c", "d", "e"].map((id) => nodes[id]?.output);
    expect(given.sort()).toEqual(["s0", "s1", "s2", "s3", "s4"]);
  });
});

describe("a paused run", () => {
  it("sleeps with what is held for it, and goes on when it is resumed", async () => {
    const runId = await client.submit(run("h-paused", [gate("a"), gate("b")]));
    await waitFor(async () => (await client.status(runId)).nodes["a"]?.status === "waiting", {
      describe: "it does not wait",
    });
    await client.operations.pause(runId);
    await client.signal(runId, "go", 1);
    expect(await asleep(runId)).toMatchObject({ status: "PAUSED", sleepCauses: "r" });
    expect(await allKeys(engine.redis, `*${runId}*`)).toEqual([]);
    expect(await engine.redis.zscore(keys.paused, runId)).toBeNull();
    await client.signal(runId, "go", 2);
    await client.operations.resume(runId);
    expect(await outputOf(runId)).toBe(2);
  });

  it.each([{ causes: ["errors"] as const }, { causes: ["errors", "run"] as const }])(
    "one resume takes back all that it was paused for by itself: $causes",
    async ({ causes }) => {
      const runId = await client.submit(run("h-paused-errors", [gate("a")]));
      const scripts = await client.operations.scripts(runId);
      for (const cause of causes) {
        // Between two it may fall asleep, and is woken for the next.
        await waitFor(async () => {
          await askToWake(engine.db, [runId]);
          return (await pauseRun(scripts, runId, cause)).kind === "paused";
        });
      }
      await asleep(runId);
      await client.operations.resume(runId);
      await client.signal(runId, "go", "on");
      expect(await outputOf(runId)).toBe("on");
    },
  );

  it("sleeps with its workflow's pause, and goes on with its workflow", async () => {
    const runId = await client.submit(run("h-paused-workflow", [gate("a")]));
    await waitFor(async () => (await client.status(runId)).nodes["a"]?.status === "waiting", {
      describe: "it does not wait",
    });
    await client.operations.pauseWorkflow({ name: "h-paused-workflow" });
    const told = await waitFor(
      async () => {
        const row = await asleep(runId);
        await askToWake(engine.db, row.status === "PAUSED" ? [] : [runId]);
        return row.status === "PAUSED" ? row : undefined;
      },
      { describe: "it does not sleep paused" },
    );
    expect(told.sleepCauses).toBe("w");
    await client.operations.resumeWorkflow({ name: "h-paused-workflow" });
    await waitFor(async () => (await readRun(engine.db, runId))?.status === "RUNNING", {
      describe: "it stays paused",
    });
    await client.signal(runId, "go", 3);
    expect(await outputOf(runId)).toBe(3);
  });

  it("a child that sleeps paused with its parent goes on with it", async () => {
    const sub = { id: "sub", type: "subworkflow", config: { workflow: "h_child" } };
    await publish(engine.db, { name: "h_child", nodes: [gate("a")], edges: [] });
    const parent = await client.submit(run("h-paused-parent", [sub]));
    const child = await childOf(parent);
    await client.operations.pause(parent);
    await asleep(parent);
    const isPaused = async (): Promise<boolean> => {
      // One that slept before its parent was paused is paused when it is awake.
      await askToWake(engine.db, [child]);
      return (await asleep(child)).status === "PAUSED";
    };
    await waitFor(isPaused, { timeoutMs: 20_000, describe: "the child does not sleep paused" });
    await client.operations.resume(parent);
    await client.signal(child, "go", "on");
    expect(await outputOf(parent)).toBe("on");
  });
});

describe("a run with a map under way", () => {
  const items = "[1, 2, 3, 4, 5]";
  const each = (config: object): object => ({ id: "each", type: "map", config });

  it("sleeps while all its elements wait, and each goes on with what comes for it", async () => {
    const config = { items, do: { ...gate("a"), timeout_ms: 3_600_000 }, max_concurrency: 2 };
    const runId = await client.submit(run("h-map", [each(config)]));
    for (let i = 1; i <= 5; i++) {
      await asleep(runId);
      expect(await allKeys(engine.redis, `*${runId}*`)).toEqual([]);
      expect(await engine.redis.zcard(keys.timers)).toBe(0);
      await client.signal(runId, "go", i);
    }
    expect(((await outputOf(runId)) as number[]).sort()).toEqual([1, 2, 3, 4, 5]);
  });

  it("a timer of an element wakes it", async () => {
    const config = { items, do: { ...gate("a"), timeout_ms: 3_600_000 } };
    const runId = await client.submit(run("h-map-timer", [each(config)]));
    const row = await asleep(runId);
    expect(row.wakesAtMs).toBeGreaterThan((row.asleepSinceMs ?? 0) + 3_500_000);
    await engine.redis.hset(keys.meta, "clock", 3_600_000);
    expect(await outputOf(runId)).toBe("FAILED");
  });

  it("children of its elements wake it when they end", async () => {
    await publish(engine.db, { name: "h_child", nodes: [gate("a")], edges: [] });
    const sub = { id: "sub", type: "subworkflow", config: { workflow: "h_child" } };
    const runId = await client.submit(run("h-map-children", [each({ items: "[1, 2]", do: sub })]));
    await asleep(runId);
    const children = await listRuns(engine.db, { parent: runId, limit: 10 });
    expect(children).toHaveLength(2);
    for (const { id } of children) {
      await asleep(id);
      await client.signal(id, "go", "end");
    }
    expect(await outputOf(runId)).toEqual(["end", "end"]);
  });
});

describe("trees of runs", () => {
  it("a child's end wakes its sleeping parent", async () => {
    await publish(engine.db, { name: "h_child", nodes: [gate("a")], edges: [] });
    const sub = { id: "sub", type: "subworkflow", config: { workflow: "h_child" } };
    const parent = await client.submit(run("h-parent", [sub]));
    const child = await childOf(parent);
    await asleep(parent);
    await asleep(child);
    await client.signal(child, "go", "from the child");
    expect(await outputOf(parent)).toBe("from the child");
  });

  it("a parent's end cancels its sleeping child", async () => {
    const sub = { id: "sub", type: "subworkflow", config: { workflow: "h_child" } };
    const parent = await client.submit(run("h-parent-2", [sub]));
    const child = await childOf(parent);
    await asleep(parent);
    await asleep(child);
    await client.cancel(parent);
    expect(await outputOf(child)).toBe("CANCELLED");
  });
});

describe("Redis lost", () => {
  it("a sleeping run stays asleep, and wakes afterwards", async () => {
    const sleeper = await client.submit(run("h-lost", [gate("a")]));
    await asleep(sleeper);
    const awake = await client.submit(run("h-lost-awake", [{ ...gate("a"), timeout_ms: 100_000 }]));
    await emptyRedis(engine.redis);
    await waitFor(async () => (await engine.redis.hget(keys.meta, "epoch")) !== null, {
      timeoutMs: 20_000,
      describe: "the partition is not rebuilt",
    });
    expect(await engine.redis.exists(keys.run(sleeper))).toBe(0);
    await client.signal(sleeper, "go", 1);
    await client.signal(awake, "go", 2);
    expect(await outputOf(sleeper)).toBe(1);
    expect(await outputOf(awake)).toBe(2);
  });
});
