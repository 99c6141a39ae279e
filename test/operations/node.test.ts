import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/client.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { emptyRedis, waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
const executed: { [run: string]: string[] } = {};
/** Ends the handlers that hang. */
const hanging: (() => void)[] = [];

const step = (id: string, function_name: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name } },
  ...more,
});
const flow = (first: object, edges: object[] = []): object => ({
  name: "by-hand",
  nodes: [first, step("b", "step"), step("rescue", "step")],
  edges: [{ from: "x", to: "b" }, { from: "x", to: "rescue", on: "error" }, ...edges],
});

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  registry.register("step", ({ runId, node, input }) => {
    (executed[runId] ??= []).push(node);
    return { node, input } as never;
  });
  registry.register("hang", async ({ runId, node }) => {
    (executed[runId] ??= []).push(node);
    await new Promise<void>((resolve) => hanging.push(resolve));
    return "late";
  });
  /** Hangs on what it cannot use, and fails the first time on what it can. */
  registry.register("positive", async ({ runId, node, input, attempt }) => {
    (executed[runId] ??= []).push(node);
    const { n, times } = input as { n?: number; times?: number };
    if (n === undefined || times === undefined) {
      await new Promise<void>((resolve) => hanging.push(resolve));
    }
    if (attempt === 2) {
      throw new Error("no luck");
    }
    return ((n ?? 0) * (times ?? 0)) as never;
  });
  registry.register("fail", ({ runId, node }) => {
    (executed[runId] ??= []).push(node);
    throw new Error("no luck");
  });
  await engine.worker({ registry });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  hanging.forEach((end) => end());
  await client.close();
  await engine.stop();
});

const start = (workflow: object): Promise<string> => client.submit({ workflow: workflow as never });
const reached = (id: string, count = 1) =>
  waitFor(() => (executed[id]?.length ?? 0) >= count, { describe: "not executed" });
const ANN = { by: "ann", why: "it hangs" };

describe("a node of a live run", () => {
  it("is completed by hand while a worker hangs in it; the worker's own result is refused", async () => {
    const id = await start(flow(step("x", "hang")));
    await reached(id);
    const order = { action: "complete", output: { from: "hand" }, ...ANN } as const;
    await client.operations.intervene(id, "x", order);
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED" });
    hanging.splice(0).forEach((end) => end());
    const { nodes } = await client.status(id);
    expect(nodes).toMatchObject({
      x: { status: "completed", output: { from: "hand" } },
      b: { status: "completed", output: { node: "b", input: { from: "hand" } } },
      rescue: { status: "skipped" },
    });
    expect(await client.operations.audit({ runId: id, limit: 9 })).toMatchObject([
      {
        ...{ who: "ann", action: "node.complete", node: "x", reason: "it hangs" },
        before: '{"status":"ready","attempt":1}',
        after: '{"action":"complete","output":{"from":"hand"}}',
      },
    ]);
  });

  it("is failed by hand: its error edge takes it", async () => {
    const id = await start(flow(step("x", "hang", { retry: { max_attempts: 5 } })));
    await reached(id);
    await client.operations.intervene(id, "x", { action: "fail", ...ANN });
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED" });
    expect((await client.status(id)).nodes).toMatchObject({
      ...{ x: { status: "failed" }, b: { status: "skipped" }, rescue: { status: "completed" } },
    });
    expect(executed[id]).toEqual(["x", "rescue"]);
  });

  it("is skipped by hand: what stands behind it is skipped with it, the run ends", async () => {
    const id = await start(flow(step("x", "hang")));
    await reached(id);
    await client.operations.intervene(id, "x", { action: "skip", ...ANN });
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED", output: "null" });
    expect((await client.status(id)).nodes).toMatchObject({
      ...{ x: { status: "skipped" }, b: { status: "skipped" }, rescue: { status: "skipped" } },
    });
  });

  it("that waits for its retry is tried at once", async () => {
    const retry = { max_attempts: 2, backoff_ms: 60_000 };
    const id = await start(flow(step("x", "fail", { retry })));
    await waitFor(async () => (await client.status(id)).nodes["x"]?.status === "retrying");
    await client.operations.intervene(id, "x", { action: "retry", ...ANN });
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED" });
    expect(executed[id]).toEqual(["x", "x", "rescue"]);
    expect((await client.status(id)).nodes["x"]).toMatchObject({ status: "failed", attempts: 2 });
  });

  it("is tried again on another input, which outlives Redis and is in the audit", async () => {
    const retry = { max_attempts: 3, backoff_ms: 1 };
    const nodes = [step("a", "step"), step("x", "positive", { retry }), step("b", "step")];
    const edges = [
      { from: "a", to: "x" },
      { from: "x", to: "b" },
    ];
    const id = await start({ name: "edited", nodes, edges });
    await reached(id, 2); // it hangs on what it cannot use
    const order = { action: "retry", input: { n: 7, times: 2 }, ...ANN } as const;
    const bad = { ...order, action: "skip" } as const;
    await expect(client.operations.intervene(id, "x", bad)).rejects.toThrow("takes no input");
    const large = { ...order, input: "x".repeat(2 ** 20) };
    await expect(client.operations.intervene(id, "x", large)).rejects.toMatchObject({
      ...{ code: "GV_BAD_INPUT", message: expect.stringContaining("1048576 bytes") as string },
    });
    await client.deployment();
    await client.operations.intervene(id, "x", order);
    const audited = async (): Promise<unknown> =>
      (await client.operations.audit({ runId: id, limit: 1 }))[0]?.after;
    const text = await waitFor(async () => (await audited()) as string | undefined);
    expect(JSON.parse(text)).toMatchObject({ action: "retry", input: order.input });
    await emptyRedis(engine.redis);
    const { status, output } = await engine.ended(id);
    expect(status).toBe("COMPLETED");
    expect(JSON.parse(output ?? "")).toEqual({ node: "b", input: 14 });
    hanging.splice(0).forEach((end) => end());
  });

  it("that waits for somebody is completed by hand", async () => {
    const id = await start(flow({ id: "x", type: "wait", config: { signal: "go" } }));
    await waitFor(async () => (await client.status(id)).nodes["x"]?.status === "waiting");
    await client.operations.intervene(id, "x", { action: "complete", output: 7, ...ANN });
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED" });
    expect((await client.status(id)).nodes["x"]).toMatchObject({ output: 7 });
  });

  it("takes by hand only what fits its schemas", async () => {
    const schemas = {
      input_schema: { not: { type: "number" } },
      output_schema: { type: "string" },
    };
    const id = await start(flow({ ...step("x", "hang"), ...schemas }));
    await reached(id);
    const order = (more: object): Promise<number> =>
      client.operations.intervene(id, "x", { ...ANN, ...more } as never);
    for (const wrong of [
      { action: "complete", output: 7 },
      { action: "complete" },
      { action: "retry", input: 7 },
    ]) {
      await expect(order(wrong)).rejects.toMatchObject({
        code: "GV_BAD_INPUT",
        message: expect.stringContaining('given for node "x" does not fit its') as string,
      });
    }
    await order({ action: "complete", output: "by hand" });
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED" });
  });

  it("is left alone when it is not open, does not exist, or its run is not live", async () => {
    const id = await start(flow(step("x", "hang")));
    await reached(id);
    const order = { action: "complete", ...ANN } as const;
    const refusal = (node: string): Promise<unknown> =>
      client.operations.intervene(id, node, order).catch((error: unknown) => error);
    expect(await refusal("b")).toMatchObject({ code: "GV_NODE_STATUS_REFUSED" });
    expect(await refusal("nobody")).toMatchObject({ code: "GV_BAD_INPUT" });
    await client.cancel(id);
    expect(await refusal("x")).toMatchObject({ code: "GV_RUN_STATUS_REFUSED" });
  });

  it("of a paused run is settled when the run is resumed", async () => {
    const id = await start(flow(step("x", "hang")));
    await reached(id);
    await client.operations.pause(id);
    await client.operations.intervene(id, "x", { action: "complete", output: 1, ...ANN });
    expect(executed[id]).toEqual(["x"]);
    await client.operations.resume(id);
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED" });
  });
});
