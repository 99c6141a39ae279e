/** The steps of one worker at one time, whatever partitions their runs are in. */
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { afterAll, describe, expect, it } from "vitest";
import { cancelRun, defineFunction, type RunProfile } from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { testPartition } from "../test/harness/partition.ts";
import { startedRun, TokenPlayer } from "../test/harness/tokens.ts";
import { testRedis, waitFor } from "../test/support/index.ts";
import { createWorker, FunctionRegistry } from "./index.ts";
import { STALE_MS } from "./waiting.ts";

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

describe("a token that waits in a worker's hands for a slot", () => {
  it("X28: is looked at again before it begins: its run may have been cancelled meanwhile", async () => {
    const nodes = { a: { config: { function_name: "hang" } } };
    const ir = { ...miniIr(["a"], [], { nodes }), queues: ["fn:hang"] };
    const begun: string[] = [];
    let goOn: () => void = () => undefined;
    const hang = defineFunction("hang", async ({ runId }) => {
      begun.push(runId);
      await new Promise<void>((resolve) => (goOn = resolve));
      return 1;
    });
    const worker = createWorker({
      ...{ redis: { url: own.url }, deployment: "test", partitions: 2, id: "full" },
      ...{ registry: new FunctionRegistry([hang]), logger: pino({ level: "silent" }) },
      concurrency: 1,
    });
    const partitions = [await testPartition(redis, 0), await testPartition(redis, 1)];
    const profiles = await Promise.all(partitions.map((p) => p.publish(ir, "hang")));
    await worker.start();
    // Both lanes read at the same time, unless one of them has just looked in vain.
    let runs: TokenPlayer[] = [];
    for (let tries = 0; worker.inFlight() < 2; tries++) {
      goOn();
      await waitFor(() => worker.inFlight() === 0);
      begun.length = 0;
      runs = partitions.map(
        (p, i) => new TokenPlayer(p, profiles[i] as RunProfile, `${i}-${tries}`),
      );
      await Promise.all(runs.map((run) => run.start()));
      await waitFor(() => begun.length === 1);
      await delay(20);
    }
    const waiting = runs.find(({ runId }) => !begun.includes(runId)) as TokenPlayer;
    // What only waits for its turn is not among what is executed.
    expect(worker.executing()).toMatchObject([{ run: begun[0], node: ir.nodes[0]?.id }]);
    await cancelRun(waiting.p.scripts, waiting.runId, "enough");
    await delay(STALE_MS);
    goOn();
    await waitFor(() => worker.inFlight() === 0);
    await worker.stop(1000);
    expect(begun).not.toContain(waiting.runId);
  });
});
