import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/client.ts";
import { globalKeys } from "../../sdk/internal.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
/** Executions by run, and gates that hold handlers. */
const executed: { [run: string]: string[] } = {};
let gate: Promise<void> = Promise.resolve();
let open: () => void = () => undefined;

const step = (id: string, function_name: string): object => ({
  ...{ id, type: "function", config: { function_name } },
});
const chain = (name: string): object => ({
  name,
  nodes: [step("a", "step"), step("b", "step"), step("c", "step")],
  edges: [
    { from: "a", to: "b" },
    { from: "b", to: "c" },
  ],
});

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  registry.register("step", async ({ runId, node }) => {
    (executed[runId] ??= []).push(node);
    await gate;
    return { at: node };
  });
  registry.register("elsewhere", () => Promise.resolve(null));
  await engine.worker({ registry });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  open();
  await client.close();
  await engine.stop();
});

function shut(): void {
  gate = new Promise((resolve) => (open = resolve));
}

const rowOf = async (id: string) => (await client.status(id)).status;

describe("B5: an operator", () => {
  it("pauses a run while its step executes: the result is kept, the next waits for resume", async () => {
    shut();
    const id = await client.submit({ workflow: chain("one") as never });
    await waitFor(() => executed[id]?.length === 1, { describe: "not executed" });
    await client.operations.pause(id, { by: "ann", why: "look" });
    await waitFor(async () => (await rowOf(id)) === "PAUSED", { describe: "row not PAUSED" });
    open();
    await waitFor(async () => (await client.status(id)).nodes["a"]?.status === "completed");
    expect(executed[id]).toEqual(["a"]);
    expect((await client.status(id)).nodes["b"]?.status).toBe("ready");
    await expect(client.operations.resume(`${id}x`)).rejects.toMatchObject({
      code: "GV_RUN_NOT_FOUND",
    });
    await client.operations.resume(id);
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED" });
    expect(executed[id]).toEqual(["a", "b", "c"]);
    await expect(client.operations.pause(id)).rejects.toMatchObject({
      code: "GV_RUN_STATUS_REFUSED",
    });
  });

  it("pauses a workflow: runs stop, new ones start paused, others go on; resuming frees all", async () => {
    shut();
    const id = await client.submit({ workflow: chain("two") as never });
    await waitFor(() => executed[id]?.length === 1, { describe: "not executed" });
    await client.operations.pauseWorkflow({ name: "two" });
    await waitFor(async () => (await rowOf(id)) === "PAUSED", { describe: "row not PAUSED" });
    open();
    const late = await client.submit({ workflow: chain("two") as never });
    const other = await client.submit({ workflow: chain("three") as never });
    expect(await engine.ended(other)).toMatchObject({ status: "COMPLETED" });
    await waitFor(async () => (await rowOf(late)) === "PAUSED", { describe: "late not PAUSED" });
    expect(executed[late]).toBeUndefined();
    await expect(client.operations.resume(late)).rejects.toThrow(/workflow two/);
    await client.operations.resumeWorkflow({ name: "two" });
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED" });
    expect(await engine.ended(late)).toMatchObject({ status: "COMPLETED" });
    expect(executed[late]).toEqual(["a", "b", "c"]);
  });

  it("pauses a queue: no worker reads it, though Redis forgets", async () => {
    const queue = "fn:step";
    await client.operations.pauseQueue(queue);
    await engine.redis.del(globalKeys.pausedQueues);
    const told = (): Promise<number> => engine.redis.sismember(globalKeys.pausedQueues, queue);
    await waitFor(async () => (await told()) === 1, { describe: "not told again" });
    // Whoever has come to what was added later to another queue has asked this one, too.
    const isRead = async (name: string): Promise<[string, boolean]> => {
      const run = await client.submit({ workflow: chain(name) as never });
      const later = { name: "later", nodes: [step("l", "elsewhere")] };
      await engine.ended(await client.submit({ workflow: later as never }));
      return [run, executed[run] !== undefined];
    };
    await waitFor(async () => !(await isRead("probe"))[1], { describe: "still read" });
    const [id, isFourRead] = await isRead("four");
    expect(isFourRead).toBe(false);
    await client.operations.resumeQueue(queue);
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED" });
    await expect(client.operations.resumeQueue(queue)).rejects.toMatchObject({
      code: "GV_NOT_PAUSED",
    });
  });
});

describe("what somebody has stopped whose clock is ahead", () => {
  let ahead: Client;
  beforeAll(async () => {
    const clock = { nowMs: () => Date.now() + 3_600_000, monotonicMs: () => performance.now() };
    ahead = await createClient({ redisUrl: engine.redisUrl, database: engine.db, clock });
  });
  afterAll(() => ahead.close());

  it.each([
    [
      "the deployment",
      () => ahead.dispatch.stop({ by: "ann" }),
      () => client.dispatch.resume({ by: "bob" }),
    ],
    [
      "a queue",
      () => ahead.operations.pauseQueue("fn:x"),
      () => client.operations.resumeQueue("fn:x"),
    ],
    [
      "a workflow",
      () => ahead.operations.pauseWorkflow({ name: "any" }),
      () => client.operations.resumeWorkflow({ name: "any" }),
    ],
  ])("%s goes on at anybody's word", async (_, stop, resume) => {
    await stop();
    await resume();
    const left = (await client.operations.pauses()).filter(({ state }) => state === "paused");
    expect(left).toEqual([]);
  });
});
