import { pino } from "pino";
import { afterAll, afterEach, expect, it } from "vitest";
import { compile, type Ir, type Json } from "../compiler/index.ts";
import { defineFunction } from "../sdk/internal.ts";
import { testPartition } from "../test/harness/partition.ts";
import { TokenPlayer } from "../test/harness/tokens.ts";
import { testRedis, waitFor } from "../test/support/index.ts";
import { createWorker, FunctionRegistry } from "./index.ts";

const own = await testRedis();
const redis = own.connect();
const p = await testPartition(redis);
afterEach(() => p.reset());
afterAll(() => own.close());

const RUN = "run-1";

/**
 * What the steps of a chain are executed with. As soon as the second is, nothing is left in Redis of
 * what the steps before have read and left.
 */
async function inputsOf(inputs: readonly Json[], first: Json = "done"): Promise<Json[]> {
  const nodes = inputs.map((input, i) => ({
    ...{ id: `n${i}`, type: "function", config: { function_name: "step", input } },
  }));
  const edges = inputs.slice(1).map((_, i) => ({ from: `n${i}`, to: `n${i + 1}` }));
  const { ir, hash } = compile({ document: { name: "chain", nodes, edges } });
  const run = new TokenPlayer(p, await p.publish(ir as Ir, hash as string), RUN);
  await run.start('{"order":7}');
  const seen: Json[] = [];
  const step = defineFunction("step", async ({ input }) => {
    if (seen.push(input as Json) === 2) {
      await redis.hdel(p.scripts.keys.run(RUN), "in", "at", "n0");
    }
    return seen.length === 1 ? first : seen.length;
  });
  const worker = createWorker({
    ...{ redis: { url: own.url }, deployment: "test", partitions: 1, id: "w", leaseMs: 1000 },
    ...{ registry: new FunctionRegistry([step]), logger: pino({ level: "silent" }) },
  });
  await worker.start();
  try {
    await waitFor(async () => (await run.hash())["s"] === "completed");
  } finally {
    await worker.stop(100);
  }
  return seen;
}

it("a chain reads its run's input and attempt once, and what its steps left not at all", async () => {
  const named = { order: "${input.order}", attempt: "${run.attempt}" };
  const later = { ...named, was: "${ctx.n0.output}", before: "${ctx.n1.output}" };
  expect(await inputsOf([named, named, later, later])).toEqual([
    { order: 7, attempt: 1 },
    { order: 7, attempt: 1 },
    { order: 7, attempt: 1, was: "done", before: 2 },
    { order: 7, attempt: 1, was: "done", before: 2 },
  ]);
});

it("what is long is not carried along: it is read when it is asked for", async () => {
  const long = "x".repeat(5000);
  const asks = { was: "${has(ctx.n0) ? ctx.n0.output : 'gone'}" };
  const [, , third] = await inputsOf([{}, {}, asks], long);
  expect(third).toEqual({ was: "gone" });
});
