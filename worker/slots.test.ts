/** The steps of one worker at one time, whatever partitions their runs are in. */
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { afterAll, describe, expect, it } from "vitest";
import { defineFunction } from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { testPartition } from "../test/harness/partition.ts";
import { startedRun, type TokenPlayer } from "../test/harness/tokens.ts";
import { testRedis, waitFor } from "../test/support/index.ts";
import { createWorker, FunctionRegistry } from "./index.ts";

const own = await testRedis();
const redis = own.connect();
afterAll(() => own.close());

const PARTITIONS = 4;
const CONCURRENCY = 3;

describe("a worker of several partitions", () => {
  it("executes no more steps at one time than it was told, and all of them in the end", async () => {
    const nodes = { a: { config: { function_name: "slow" } } };
    const ir = { ...miniIr(["a"], [], { nodes }), queues: ["fn:slow"] };
    const runs: TokenPlayer[] = [];
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const p = await testPartition(redis, partition);
      for (let i = 0; i < CONCURRENCY; i++) {
        runs.push(await startedRun(p, ir));
      }
    }
    let running = 0;
    let most = 0;
    const slow = defineFunction("slow", async () => {
      running += 1;
      most = Math.max(most, running);
      await delay(20);
      running -= 1;
      return 1;
    });
    const worker = createWorker({
      ...{ redis: { url: own.url }, deployment: "test", partitions: PARTITIONS, id: "w" },
      ...{ registry: new FunctionRegistry([slow]), logger: pino({ level: "silent" }) },
      concurrency: CONCURRENCY,
    });
    await worker.start();
    const isDone = async (run: TokenPlayer): Promise<boolean> =>
      (await run.hash())["s"] === "completed";
    await Promise.all(runs.map((run) => waitFor(() => isDone(run))));
    await worker.stop(1000);
    expect(most).toBe(CONCURRENCY);
  });
});
