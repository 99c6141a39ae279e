/** The steps of one worker at one time, whatever partitions their runs are in. */
import { pino } from "pino";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import {
  cancelRun,
  connectionAt,
  defineFunction,
  queueStreams,
  underWay,
  type RunProfile,
} from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { testPartition, type TestPartition } from "../test/harness/partition.ts";
import { startedRun, TokenPlayer } from "../test/harness/tokens.ts";
import { testRedis, waitFor } from "../test/support/index.ts";
import { moveOn } from "../test/support/move-on.ts";
import { createWorker, FunctionRegistry } from "./index.ts";
import { STALE_MS } from "./waiting.ts";

const own = await testRedis();
const redis = own.connect();
afterEach(() => vi.restoreAllMocks());
afterAll(() => own.close());

const LEASE_MS = 30_000;
const PARTITIONS = 4;
const CONCURRENCY = 3;
/** Round trips for which a step goes on: whatever lanes read meanwhile would begin, were it too many. */
const TRIPS = 50;

async function isDone(run: TokenPlayer): Promise<boolean> {
  return (await run.hash())["s"] === "completed";
}

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
      for (let trip = 0; trip < TRIPS; trip++) {
        await redis.ping();
      }
      running -= 1;
      return 1;
    });
    const worker = createWorker({
      ...{ redis: { url: own.url }, deployment: "test", partitions: PARTITIONS, id: "w" },
      ...{ registry: new FunctionRegistry([slow]), logger: pino({ level: "silent" }) },
      concurrency: CONCURRENCY,
    });
    await worker.start();
    await Promise.all(runs.map((run) => waitFor(() => isDone(run))));
    await worker.stop(1000);
    expect(most).toBe(CONCURRENCY);
  });
});

/** Connections that wait for tokens of these partitions at this moment, on whatever nodes they lie. */
async function waitingReads(partitions: readonly TestPartition[]): Promise<number> {
  const nodes = partitions.map(({ scripts }) => connectionAt(redis, scripts.keys.meta));
  const lists = await Promise.all(nodes.map((node) => node.client("LIST")));
  const waiting = lists
    .flatMap((list) => String(list).split("\n"))
    .filter((line) => line.includes(" cmd=xreadgroup") && / flags=\S*b/.test(line));
  // Of one node they are in the list of each of its partitions; an id is the node's own.
  const ids = waiting.map((line) => (line.match(/^id=\d+| laddr=\S+/g) ?? []).join());
  return new Set(ids).size;
}

/** Tokens that this worker has read. */
async function inHands(worker: string): Promise<number> {
  const { executing } = await underWay(redis, await queueStreams(redis, 2), LEASE_MS);
  return executing.get(worker) ?? 0;
}

describe("a token that waits in a worker's hands for a slot", () => {
  it("X28: is looked at again before it begins: its run may have been cancelled meanwhile", async () => {
    const nodes = { a: { config: { function_name: "hang" } } };
    const ir = { ...miniIr(["a"], [], { nodes }), queues: ["fn:hang"] };
    const begun: string[] = [];
    let goOn: () => void = () => undefined;
    let gate: Promise<void>;
    const hang = defineFunction("hang", async ({ runId }) => {
      begun.push(runId);
      await gate;
      return 1;
    });
    const worker = createWorker({
      ...{ redis: { url: own.url }, deployment: "test", partitions: 2, id: "full" },
      ...{ registry: new FunctionRegistry([hang]), logger: pino({ level: "silent" }) },
      ...{ concurrency: 1, leaseMs: LEASE_MS },
    });
    const partitions = [await testPartition(redis, 0), await testPartition(redis, 1)];
    const profiles = await Promise.all(partitions.map((p) => p.publish(ir, "hang")));
    await worker.start();
    // Each lane reads what comes while it waits at Redis; unless that wait has just ended in vain.
    let runs: TokenPlayer[] = [];
    for (let tries = 0; ; tries++) {
      gate = new Promise((resolve) => (goOn = resolve));
      begun.length = 0;
      await waitFor(async () => (await waitingReads(partitions)) === 2);
      runs = partitions.map(
        (p, i) => new TokenPlayer(p, profiles[i] as RunProfile, `${i}-${tries}`),
      );
      await Promise.all(runs.map((run) => run.start()));
      await waitFor(() => begun.length === 1);
      if ((await inHands("full")) === 2) {
        break;
      }
      goOn();
      await Promise.all(runs.map((run) => waitFor(() => isDone(run))));
    }
    await waitFor(() => worker.inFlight() === 2);
    const waiting = runs.find(({ runId }) => !begun.includes(runId)) as TokenPlayer;
    // What only waits for its turn is not among what is executed.
    expect(worker.executing()).toMatchObject([{ run: begun[0], node: ir.nodes[0]?.id }]);
    await cancelRun(waiting.p.scripts, waiting.runId, "enough");
    moveOn(STALE_MS + 1);
    goOn();
    await waitFor(() => worker.inFlight() === 0);
    await worker.stop(1000);
    expect(begun).not.toContain(waiting.runId);
  });
});
