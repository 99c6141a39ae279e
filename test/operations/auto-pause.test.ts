/** Pauses that nobody ordered: after errors in a row, and with a parent. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/client.ts";
import { listRuns, readRun } from "../../sdk/postgres/index.ts";
import { whyRun } from "../../supervisor/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";
import { waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
let isBroken = true;
const attempts = new Map<string, number>();

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  registry.register("flaky", ({ runId }) => {
    attempts.set(runId, (attempts.get(runId) ?? 0) + 1);
    return isBroken ? Promise.reject(new Error("no")) : Promise.resolve(1);
  });
  await engine.worker({ registry });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
  const waits = { id: "s", type: "wait", config: { signal: "go" } };
  const calls = { id: "m", type: "subworkflow", config: { workflow: "leaf" } };
  await publish(engine.db, { name: "leaf", nodes: [waits], edges: [] });
  await publish(engine.db, { name: "middle", nodes: [calls], edges: [] });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

async function becomes(runId: string, status: string): Promise<void> {
  await waitFor(async () => (await readRun(engine.db, runId))?.status === status, {
    describe: `run ${runId} is not ${status}`,
  });
}

async function whyText(runId: string): Promise<string> {
  const { redis, db } = engine;
  const deployment = await client.deployment();
  const why = await whyRun({ redis, db, runId, deployment, irOf: (hash) => client.irOf(hash) });
  return (why?.reasons ?? []).map(({ text }) => text).join("; ");
}

describe("settings.pause_after_errors", () => {
  it("pauses the run, why says so, each resume counts from zero, a success ends it", async () => {
    const retry = { max_attempts: 100, backoff_ms: 50, max_backoff_ms: 50, jitter: 0 };
    const node = { id: "f", type: "function", config: { function_name: "flaky" }, retry };
    const settings = { pause_after_errors: 3 };
    const workflow = { name: "flaky", nodes: [node], edges: [], settings };
    const id = await client.submit({ workflow: workflow as never });
    await becomes(id, "PAUSED");
    const first = attempts.get(id) ?? 0;
    expect(first).toBeGreaterThanOrEqual(3);
    expect(await whyText(id)).toContain("after errors in a row");
    await client.operations.resume(id);
    await waitFor(() => Promise.resolve((attempts.get(id) ?? 0) >= first + 3), {
      describe: "three more attempts",
    });
    await becomes(id, "PAUSED");
    isBroken = false;
    await client.operations.resume(id);
    expect((await client.ended(id, { timeoutMs: 10_000 })).status).toBe("COMPLETED");
  });
});

/** A root whose child has a child that waits for a signal; ids from the root down. */
async function family(): Promise<[root: string, child: string, grandchild: string]> {
  const nodes = [{ id: "n", type: "subworkflow", config: { workflow: "middle" } }];
  const root = await client.submit({ workflow: { name: "root", nodes, edges: [] } });
  const childOf = (parent: string): Promise<string> =>
    waitFor(async () => (await listRuns(engine.db, { parent, limit: 1 }))[0]?.id, {
      describe: `${parent} has no child`,
    });
  const child = await childOf(root);
  return [root, child, await childOf(child)];
}

describe("a tree of runs", () => {
  it("is paused with its root down to the grandchildren, and goes on with it", async () => {
    const [root, child, grandchild] = await family();
    await client.operations.pause(root);
    await Promise.all([root, child, grandchild].map((id) => becomes(id, "PAUSED")));
    expect(await whyText(grandchild)).toContain("with its parent");
    await expect(client.operations.resume(grandchild)).rejects.toThrow(child);
    await client.operations.resume(root);
    await Promise.all([root, child, grandchild].map((id) => becomes(id, "RUNNING")));
    await client.signal(grandchild, "go");
    expect((await client.ended(root, { timeoutMs: 10_000 })).status).toBe("COMPLETED");
  });

  it("a child that was paused by itself stays so when its parent goes on", async () => {
    const [root, child, grandchild] = await family();
    await client.operations.pause(child);
    await Promise.all([child, grandchild].map((id) => becomes(id, "PAUSED")));
    await client.operations.pause(root);
    await becomes(root, "PAUSED");
    await client.operations.resume(root);
    await becomes(root, "RUNNING");
    expect((await readRun(engine.db, child))?.status).toBe("PAUSED");
    await client.operations.resume(child);
    await Promise.all([child, grandchild].map((id) => becomes(id, "RUNNING")));
    await client.cancel(root);
    await Promise.all([root, child, grandchild].map((id) => becomes(id, "CANCELLED")));
  });

  it("is cancelled with its root down to the grandchildren, paused or not", async () => {
    const ids = await family();
    await client.operations.pause(ids[1]);
    await becomes(ids[2], "PAUSED");
    await client.cancel(ids[0]);
    await Promise.all(ids.map((id) => becomes(id, "CANCELLED")));
  });
});
