/** X18: what the nodes of a run say of it, beside the run's own status, through a whole engine. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/client.ts";
import { readRun } from "../../sdk/postgres/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { emptyRedis, waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
let isHealed = false;

const pass = (id: string, sets_status?: string): object => ({
  ...{ id, type: "pass" },
  ...(sets_status !== undefined && { sets_status }),
});
const edges = (...pairs: string[]): object[] =>
  pairs.map((pair) => ({ from: pair.split(">")[0], to: pair.split(">")[1] }));
const wait = { id: "w", type: "wait", config: { signal: "go" }, sets_status: "delivered" };

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  registry.register("flaky", ({ input }) => {
    if (!isHealed) {
      throw new Error("no luck");
    }
    return input;
  });
  await engine.worker({ registry });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

async function submit(nodes: object[], ...pairs: string[]): Promise<string> {
  const workflow = { name: "orders", nodes, edges: edges(...pairs) };
  return client.submit({ workflow: workflow as never });
}

/** Of its report, and of its row. */
async function businessOf(id: string): Promise<unknown[]> {
  const report = await client.status(id);
  return [report.business_status ?? null, (await readRun(engine.db, id))?.businessStatus];
}

const found = async (businessStatus: string, more: object = {}): Promise<string[]> =>
  (await client.runs({ businessStatus, limit: 9, ...more })).map(({ run_id }) => run_id);

describe("X18: the business status of a run", () => {
  it("is what a node has set that succeeded, beside the run's status; both can be asked for", async () => {
    const id = await submit([pass("a", "packed"), pass("b"), wait], "a>b", "b>w");
    await waitFor(async () => (await client.status(id)).nodes["w"]?.status === "waiting");
    expect(await businessOf(id)).toEqual(["packed", "packed"]);
    expect((await client.status(id)).status).toBe("RUNNING");
    expect(await found("packed")).toEqual([id]);
    expect(await found("packed", { status: "COMPLETED" })).toEqual([]);
    await client.signal(id, "go");
    await engine.ended(id);
    expect(await businessOf(id)).toEqual(["delivered", "delivered"]);
    expect(await found("packed")).toEqual([]);
    expect(await found("delivered", { status: "COMPLETED" })).toEqual([id]);
  });

  it("is told by the feed, in its snapshot and when it changes", async () => {
    const id = await submit([pass("a", "received"), wait], "a>w");
    const heard = engine.follow(id);
    await waitFor(async () => (await client.status(id)).nodes["w"]?.status === "waiting");
    await client.signal(id, "go");
    const told = (await heard) as { type: string; node?: string; business_status?: string }[];
    const statuses = told.map(({ business_status }) => business_status);
    expect(statuses.at(-1)).toBe("delivered");
    const changes = told.filter(({ type, node }) => type === "status_update" && node === null);
    expect(changes.map(({ business_status }) => business_status)).toContain("delivered");
    const late = (await engine.follow(id)) as { type: string; business_status?: string }[];
    expect(late[0]).toMatchObject({ type: "snapshot", business_status: "delivered" });
  });

  it("is of the last that succeeded, in rounds of loops and in elements of maps too", async () => {
    const loop = { loop_back_to: "a", condition: "iteration < 2", max_iterations: 5 };
    const latch = { id: "l", type: "loop", config: loop, sets_status: "round over" };
    const looped = await submit([pass("a", "in a round"), latch], "a>l");
    await engine.ended(looped);
    expect(await businessOf(looped)).toEqual(["round over", "round over"]);
    const body = { nodes: [pass("in", "one of many")] };
    const map = { id: "m", type: "map", config: { items: "${[1, 2]}", do: body } };
    const mapped = await submit([pass("a", "before"), map as never], "a>m");
    await engine.ended(mapped);
    expect(await businessOf(mapped)).toEqual(["one of many", "one of many"]);
    const failing = { id: "f", type: "function", config: { function_name: "builtin.fail" } };
    const failed = await submit([pass("a", "before"), { ...failing, sets_status: "after" }], "a>f");
    await engine.ended(failed);
    expect(await businessOf(failed)).toEqual(["before", "before"]);
    const silent = await submit([pass("a"), pass("b")], "a>b");
    await engine.ended(silent);
    expect(await businessOf(silent)).toEqual([null, null]);
  });

  it("survives the loss of Redis", async () => {
    const id = await submit([pass("a", "kept"), wait], "a>w");
    await waitFor(async () => (await client.status(id)).nodes["w"]?.status === "waiting");
    await emptyRedis(engine.redis);
    await waitFor(async () => client.signal(id, "go").catch(() => undefined));
    await engine.ended(id);
    expect(await businessOf(id)).toEqual(["delivered", "delivered"]);
  });

  it("is after a redrive what the nodes say that still hold", async () => {
    const flaky = { id: "x", type: "function", config: { function_name: "flaky" } };
    const id = await submit([pass("s", "begun"), wait, flaky], "s>w", "w>x");
    await waitFor(async () => (await client.status(id)).nodes["w"]?.status === "waiting");
    await client.signal(id, "go");
    expect(await engine.ended(id)).toMatchObject({ status: "FAILED" });
    expect(await businessOf(id)).toEqual(["delivered", "delivered"]);
    isHealed = true;
    await client.operations.redrive(id, { by: "ann", from: ["w"] });
    await waitFor(async () => (await client.status(id)).nodes["w"]?.status === "waiting");
    expect(await businessOf(id)).toEqual(["begun", "begun"]);
    await client.signal(id, "go");
    await waitFor(async () => (await readRun(engine.db, id))?.status === "COMPLETED");
    expect(await businessOf(id)).toEqual(["delivered", "delivered"]);
    // Of a run that loses the one status that it had, none is left.
    isHealed = false;
    const only = await submit([pass("s"), wait, flaky], "s>w", "w>x");
    await waitFor(async () => (await client.status(only)).nodes["w"]?.status === "waiting");
    await client.signal(only, "go");
    await engine.ended(only);
    isHealed = true;
    await client.operations.redrive(only, { by: "ann", from: ["w"] });
    await waitFor(async () => (await client.status(only)).nodes["w"]?.status === "waiting");
    expect(await businessOf(only)).toEqual([null, null]);
  });
});
