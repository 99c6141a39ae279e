/** X28: a cancelled run begins nothing more, stops what it has begun, and leaves nothing behind. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/client.ts";
import { partitionKeys } from "../../sdk/internal.ts";
import { FunctionRegistry, type Worker } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
let worker: Worker | undefined;
const keys = partitionKeys(0);
/** Executions as run/node/scope, in order. */
let executed: string[] = [];
let stopped: string[] = [];
let goOn: (() => void)[] = [];

const step = (id: string, function_name: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name } },
  ...more,
});
const submit = (workflow: object): Promise<string> =>
  client.submit({ workflow: workflow as never });

beforeAll(async () => {
  engine = await startEngine();
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterEach(async () => {
  goOn.splice(0).forEach((go) => go());
  await worker?.stop(2000);
  [executed, stopped, goOn] = [[], [], []];
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

async function work(concurrency: number): Promise<void> {
  const registry = new FunctionRegistry();
  registry.register("step", ({ idempotencyKey }) => {
    executed.push(idempotencyKey);
    return null;
  });
  registry.register("hang", async ({ idempotencyKey, signal }) => {
    executed.push(idempotencyKey);
    await new Promise<void>((resolve) => {
      goOn.push(resolve);
      signal.addEventListener("abort", () => {
        stopped.push(idempotencyKey);
        resolve();
      });
    });
    return null;
  });
  worker = await engine.worker({ registry, concurrency, id: `cancel-${concurrency}` });
}

describe("X28: a run that is cancelled", () => {
  it("stops its handlers, begins nothing more, and leaves neither tokens nor keys", async () => {
    await work(2);
    const nodes = [step("in", "step"), step("z", "step", { join: { mode: "any" } })];
    const beside = Array.from({ length: 20 }, (_, i) => step(`h${i}`, "hang"));
    const late = step("late", "step", { queue_timeout_ms: 60_000 });
    const edges = beside.flatMap((_, i) => [
      { from: "in", to: `h${i}` },
      { from: `h${i}`, to: "z" },
    ]);
    const id = await submit({
      ...{ name: "wide", settings: { fusion: false, timeout_ms: 600_000 } },
      ...{ nodes: [...nodes, ...beside, late], edges: [...edges, { from: "z", to: "late" }] },
    });
    await waitFor(() => executed.length === 3, { describe: "two do not hang" });
    await client.cancel(id);
    const begun = [...executed];
    expect(await engine.ended(id)).toMatchObject({ status: "CANCELLED" });
    await waitFor(() => stopped.length === 2, { describe: "its handlers are not told to stop" });
    expect([...stopped].sort()).toEqual(begun.slice(1).sort());
    const left = async (): Promise<unknown[]> => {
      const { redis } = engine;
      const timers = await redis.zrange(keys.timers, 0, -1);
      const queued = await redis.xrange(keys.queue("fn:hang", "normal"), "-", "+");
      const own = [keys.run(id), keys.held(id), keys.signals(id)].map((key) => redis.exists(key));
      const there = (await Promise.all(own)).filter((count) => count > 0);
      return [...timers.filter((timer) => timer.includes(id)), ...queued, ...there];
    };
    await waitFor(async () => (await left()).length === 0, { describe: "something of it is left" });
    expect(executed).toEqual(begun);
  });
});
