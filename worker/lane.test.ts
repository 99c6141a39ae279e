/** A worker whose Redis has lost what it rests on: a new epoch of its partition. */
import { pino } from "pino";
import { afterAll, expect, it } from "vitest";
import { certifiedSource, defineFunction, SCRIPTS, type ScriptName } from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { testPartition } from "../test/harness/partition.ts";
import { startedRun } from "../test/harness/tokens.ts";
import { testRedis, waitFor } from "../test/support/index.ts";
import { createWorker, FunctionRegistry } from "./index.ts";

const own = await testRedis();
const redis = own.connect();
const p = await testPartition(redis);
afterAll(() => own.close());

/** As a supervisor certifies a server that may have lost data. */
async function nextEpoch(epoch: number): Promise<void> {
  for (const name of Object.keys(SCRIPTS) as ScriptName[]) {
    await p.scripts.redis.script("LOAD", certifiedSource(name, "test", 0, epoch));
  }
  await redis.hset(p.scripts.keys.meta, "epoch", epoch);
}

it("gives up under a new epoch what it read before: that is aborted, and executed again", async () => {
  const begun: AbortSignal[] = [];
  const slow = defineFunction("slow", async ({ signal }) => {
    const count = begun.push(signal);
    if (count === 1) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }
    return count === 1 ? "before" : "after";
  });
  const worker = createWorker({
    ...{ redis: { url: own.url }, deployment: "test", partitions: 1, id: "w" },
    ...{ leaseMs: 2000, registry: new FunctionRegistry([slow]), logger: pino({ level: "silent" }) },
  });
  await worker.start();
  const known = await startedRun(p, miniIr(["k"], [])); // with its end, of the epoch that is
  await waitFor(async () => (await known.hash())["s"] === "completed");
  const config = { function_name: "slow" };
  const slowIr = { ...miniIr(["a"], [], { nodes: { a: { config } } }), queues: ["fn:slow"] };
  const held = await startedRun(p, slowIr);
  await waitFor(() => begun.length === 1);

  await nextEpoch(2);
  expect(begun[0]?.aborted).toBe(false);
  // With its end the worker learns of the epoch. Under a new one a start is refused once.
  const other = (): Promise<unknown> => startedRun(p, miniIr(["b"], []));
  await other().catch(other);
  const record = await waitFor(async () => {
    const { n0 } = await held.hash();
    return n0?.startsWith("c") === true && n0;
  });
  expect(record).toBe('c1||"after"');
  expect(begun.map(({ aborted }) => aborted)).toEqual([true, false]);
  await worker.stop(1000);
});
