/** A worker that had nothing to do while its partition got another epoch. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { partitionKeys } from "../../sdk/internal.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { emptyRedis, waitFor } from "../support/index.ts";

let engine: Engine;
let calls = 0;

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  registry.register("count", () => (calls += 1));
  await engine.worker({ registry });
});
afterAll(() => engine.stop());

it("executes the next token once, and does not wait for a lease", async () => {
  const node = { id: "n", type: "function", config: { function_name: "count" } };
  const run = async (): Promise<string> =>
    engine.submit({ workflow: { name: "one", nodes: [node], edges: [] }, input: {} });
  await engine.ended(await run());
  await emptyRedis(engine.redis);
  const { meta } = partitionKeys(0);
  await waitFor(async () => (await engine.redis.hget(meta, "epoch")) === "2");
  // `ended` waits for less than half of the worker's lease of 30 s and a look for stale entries.
  const started = performance.now();
  await engine.ended(await run());
  expect(calls).toBe(2);
  expect(performance.now() - started).toBeLessThan(14_000);
});
