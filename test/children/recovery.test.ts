/** Trees of runs that outlive an emptied Redis. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cancelRun, globalKeys, ScriptRunner, signalRun } from "../../sdk/internal.ts";
import { listRuns, readJournal } from "../../sdk/postgres/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";
import { emptyRedis, waitFor } from "../support/index.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.stop());

async function scripts(): Promise<ScriptRunner> {
  const deployment = (await engine.redis.hget(globalKeys.deployment, "id")) as string;
  return new ScriptRunner({ redis: engine.redis, deployment, partition: 0 });
}

/** The child of a run, once it is archived. */
async function childOf(runId: string): Promise<string> {
  const [child] = await waitFor(
    async () => {
      const found = await listRuns(engine.db, { parent: runId, limit: 1 });
      return found.length > 0 ? found : undefined;
    },
    { describe: `${runId} has no child` },
  );
  return child?.id ?? "";
}

/** Empties Redis and waits until the partition is certified again. */
async function loseRedis(): Promise<void> {
  await emptyRedis(engine.redis);
  const { keys } = await scripts();
  await waitFor(async () => (await engine.redis.hget(keys.meta, "epoch")) !== null, {
    timeoutMs: 20_000,
    describe: "the partition is not rebuilt",
  });
}

async function archived(runId: string, event: string): Promise<void> {
  await waitFor(
    async () => (await readJournal(engine.db, runId)).some(({ transition: t }) => t.e === event),
    { describe: `${event} of ${runId} is not archived` },
  );
}

const gate = { id: "gate", type: "wait", config: { signal: "go" } };
const sub = (id: string, workflow: string): object => ({
  ...{ id, type: "subworkflow", config: { workflow } },
});
const add = {
  ...{ id: "add", type: "function" },
  config: { function_name: "builtin.add", params: { a: "${input.n}", b: 1 } },
};

describe("A7: a tree in an emptied Redis", () => {
  it("is put back with its links and bindings: ends wake parents, new children start", async () => {
    const worker = await engine.worker();
    await publish(engine.db, { name: "r_leaf", nodes: [add], edges: [] });
    await publish(engine.db, {
      ...{ name: "r_mid", nodes: [gate, sub("late", "r_leaf")] },
      edges: [{ from: "gate", to: "late" }],
      output: { sum: "${ctx.late.output.sum}", at: "mid" },
    });
    const top = {
      name: "r_top",
      nodes: [{ ...sub("t", "r_mid") }, { id: "end", type: "parallel" }],
      edges: [{ from: "t", to: "end" }],
    };
    const runId = await engine.submit({ workflow: top, input: { n: 4 } });
    const mid = await childOf(runId);
    await archived(mid, "node.parked");
    await loseRedis();
    const { keys } = await scripts();
    const fields = await engine.redis.hmget(keys.run(mid), "up", "dep", "sub");
    expect(fields[0]).toContain(`${runId}|0||1|`);
    expect(fields[1]).toBe("1");
    expect(Object.keys(JSON.parse(fields[2] as string) as object).sort()).toEqual([
      "r_leaf",
      "r_mid",
    ]);
    const signal = { runId: mid, id: "1", name: "go", data: { n: 4 } };
    expect(await signalRun(await scripts(), signal)).toBe("delivered");
    const row = await engine.ended(runId);
    expect([row.status, JSON.parse(row.output ?? "null")]).toEqual([
      "COMPLETED",
      { sum: 5, at: "mid" },
    ]);
    await worker.stop(2000);
  });

  it("is put back inside a map's elements, too", async () => {
    const worker = await engine.worker({ id: "maps" });
    await publish(engine.db, {
      ...{ name: "m_leaf", nodes: [gate], edges: [] },
      output: "${input.n}",
    });
    const inner = sub("s", "m_leaf") as { config: object };
    const each = { ...inner, config: { ...inner.config, input: { n: "${item}" } } };
    const map = { id: "m", type: "map", config: { items: "[5, 6]", do: each } };
    const runId = await engine.submit({ workflow: { name: "m_top", nodes: [map], edges: [] } });
    const children = await waitFor(async () => {
      const found = await listRuns(engine.db, { parent: runId, limit: 9 });
      return found.length === 2 ? found : undefined;
    });
    for (const { id } of children) {
      await archived(id, "node.parked");
    }
    await loseRedis();
    for (const { id } of children) {
      const signal = { runId: id, id: "1", name: "go", data: null };
      expect(await signalRun(await scripts(), signal)).toBe("delivered");
    }
    expect((await engine.ended(runId)).output).toBe("[5,6]");
    await worker.stop(2000);
  });

  it("keeps how a child ended for the parent that has yet to read it", async () => {
    const worker = await engine.worker({ id: "first" });
    await publish(engine.db, { name: "u_leaf", nodes: [gate], edges: [] });
    const after = { id: "after", type: "transform", config: { expression: "data.error.code" } };
    const top = {
      ...{ name: "u_top", nodes: [sub("t", "u_leaf"), after] },
      edges: [{ from: "t", to: "after", on: "error" }],
    };
    const runId = await engine.submit({ workflow: top });
    const child = await childOf(runId);
    await archived(child, "node.parked");
    await worker.stop(2000);
    // Nobody reads the parent's resume entry now.
    expect(await cancelRun(await scripts(), child, "by hand")).toBe("cancelled");
    await archived(runId, "node.resumed");
    await engine.ended(child);
    await loseRedis();
    const { keys } = await scripts();
    expect(await engine.redis.hget(keys.run(child), "s")).toBe("cancelled");
    await engine.worker({ id: "second" });
    const row = await engine.ended(runId);
    expect([row.status, row.output]).toEqual(["COMPLETED", '"CANCELLED"']);
    await waitFor(async () => (await engine.redis.exists(keys.run(child))) === 0, {
      timeoutMs: 15_000,
      describe: "the child is not released",
    });
  });
});
