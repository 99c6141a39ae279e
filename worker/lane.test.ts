/** A worker whose Redis has lost what it rests on: a new epoch of its partition. */
import { pino } from "pino";
import { afterAll, afterEach, expect, it, vi } from "vitest";
import {
  certifiedSource,
  defineFunction,
  packEntry,
  SCRIPTS,
  type ScriptName,
} from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { testPartition } from "../test/harness/partition.ts";
import { startedRun } from "../test/harness/tokens.ts";
import { testRedis, waitFor } from "../test/support/index.ts";
import { moveOn } from "../test/support/move-on.ts";
import { createWorker, FunctionRegistry, type Worker } from "./index.ts";

const own = await testRedis();
const redis = own.connect();
const p = await testPartition(redis);
afterEach(() => vi.restoreAllMocks());
afterAll(() => own.close());

/** As a supervisor certifies a server that may have lost data. */
async function nextEpoch(epoch: number): Promise<void> {
  for (const name of Object.keys(SCRIPTS) as ScriptName[]) {
    await p.scripts.redis.script("LOAD", certifiedSource(name, "test", 0, epoch));
  }
  await redis.hset(p.scripts.keys.meta, "epoch", epoch);
}

function workerOf(
  registry: FunctionRegistry,
  leaseMs: number,
  logger = pino({ level: "silent" }),
): Worker {
  return createWorker({
    ...{ redis: { url: own.url }, deployment: "test", partitions: 1, id: "w" },
    ...{ leaseMs, registry, logger },
  });
}

it("says which steps it gives up, when it stops before they have ended", async () => {
  let isBegun = false;
  const slow = defineFunction("late", ({ signal }) => {
    isBegun = true;
    return new Promise((resolve) => signal.addEventListener("abort", resolve));
  });
  const lines: { msg: string; steps?: object[] }[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const worker = workerOf(new FunctionRegistry([slow]), 60_000, logger);
  await worker.start();
  const config = { function_name: "late" };
  const ir = { ...miniIr(["a"], [], { nodes: { a: { config } } }), queues: ["fn:late"] };
  const run = await startedRun(p, ir);
  await waitFor(() => isBegun);
  await worker.stop(0);
  const [told, more] = lines.filter(({ steps }) => steps !== undefined);
  expect(told).toMatchObject({ level: 40, count: 1, steps: [{ run: run.runId, node: "a" }] });
  expect(more).toBeUndefined();
});

it("gives up under a new epoch what it read before: that is aborted, and executed again", async () => {
  const begun: AbortSignal[] = [];
  const slow = defineFunction("slow", async ({ signal }) => {
    const count = begun.push(signal);
    if (count === 1) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }
    return count === 1 ? "before" : "after";
  });
  const worker = workerOf(new FunctionRegistry([slow]), 60_000);
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

it("checks what was read across a new epoch by its run, and without waiting for a lease", async () => {
  const inputs: unknown[] = [];
  const second = defineFunction("second", ({ input }) => inputs.push(input));
  const worker = workerOf(new FunctionRegistry([second]), 30_000);
  await worker.start();
  const known = await startedRun(p, miniIr(["k"], []));
  await waitFor(async () => (await known.hash())["s"] === "completed");
  const nodes = { a: { queue: 1 }, b: { config: { function_name: "second" } } };
  const ir = { ...miniIr(["a", "b"], [["a", "b"]], { nodes }), queues: ["fn:second", "fn:none"] };
  const run = await startedRun(p, ir); // whose first node is active, for all that Redis knows
  moveOn(700); // only a lane that has been quiet for that long asks for the epoch
  await nextEpoch(3);
  const queueKey = run.profile.queueKeys[0] as string;
  const token = { runId: run.runId, epoch: 1, node: 1, scope: "", attempt: 1 };
  const irHash = run.profile.irHash;
  const entry = { ...token, irHash, kind: "run", arrivals: "", payload: '="lost"' } as const;
  const id = await redis.xadd(queueKey, "*", "t", packEntry(entry));
  await waitFor(
    async () => (await redis.xrange(queueKey, id as string, id as string)).length === 0,
  );
  expect(inputs).toEqual([]);
  await worker.stop(1000);
});
