/**
 * A start whose row was read before Redis was lost: its run may have ended since, and nothing is left
 * that says so.
 */
import { afterAll, afterEach, beforeAll, expect, it, onTestFinished } from "vitest";
import { connectRedis, hibernateRuns, partitionKeys } from "../sdk/internal.ts";
import { admitRuns, readCursor, readRun } from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { createPartition } from "./partition.ts";
import { rebuildRuns } from "./rebuild.ts";
import type { Deadlines } from "./start-deadlines.ts";
import { chainIr, contextOf, startRuns, startStack, work } from "./stack.fixture.ts";
import { TestClock, type Stack } from "./stack.fixture.ts";
import { Starter, type Startable } from "./starter.ts";

const keys = partitionKeys(0);
const ir = chainIr(["a"]);
const HASH = "h-late";
const CHANGED = { code: "GV_PARTITION_UNCERTIFIED" };

type Context = SupervisorContext & { close(): void };
let stack: Stack;
/** One that read a row and was held up, and the one who does everything meanwhile. */
let held: Context;
let living: Context;
let partition: ReturnType<typeof createPartition>;

beforeAll(async () => {
  stack = await startStack();
  held = await contextOf(stack, { id: "held" });
  living = await contextOf(stack, { id: "living" });
  living.onRollback = (rollback) => rebuildRuns(rollback, living);
});
afterEach(() => partition.stop(2000));
afterAll(async () => {
  [held, living].forEach((context) => context.close());
  await stack.close();
});

/** Any call, of no run: resolves when the partition is certified, and its process has heard of that. */
function hear(context: SupervisorContext): Promise<unknown> {
  return hibernateRuns(scriptsOf(context, 0), ["nobody"], 1);
}

/** Returns when the partition is certified and the living one has heard of it. */
async function goOn(): Promise<void> {
  partition = createPartition(living, 0);
  await partition.start();
  await hear(living);
}

/** The row as it is before anybody has started it. */
async function rowRead(
  id: string,
  by: Context = held,
): Promise<{ starter: Starter; row: Startable; by: Deadlines }> {
  const definition = { hash: HASH, name: ir.name, version: "1", source: null, createdAtMs: 1 };
  const row = {
    ...{ id, tenant: "", workflow: ir.name, version: "1", irHash: HASH, partition: 0 },
    ...{ namespace: "", priority: "normal" as const, input: "null", idempotencyKey: null },
    ...{ requestHash: "", createdAtMs: 1 },
  };
  await admitRuns(stack.db, [{ ...definition, ir: JSON.stringify(ir) }], [row]);
  const starter = new Starter(by);
  return { starter, row, by: await starter.deadlines() };
}

/** Somebody else starts it; it ends, is archived and released, and Redis loses everything. */
async function runAndLose(id: string): Promise<void> {
  await startRuns(living, ir, HASH, [id]);
  await work(stack, ir, HASH);
  await waitFor(async () => (await readRun(stack.db, id))?.status === "COMPLETED");
  await partition.stop(2000);
  await stack.redis.flushall();
  await stack.redis.script("FLUSH");
}

it("that waits for a certificate is refused under the next one", async () => {
  const id = "01890000-0000-7000-8000-000000000011";
  await goOn();
  const { starter, row, by } = await rowRead(id);
  await runAndLose(id);
  // The held one hears that nothing is certified, and no more than that.
  await stack.redis.config("RESETSTAT");
  const waiting = hear(held);
  await waitFor(async () => (await stack.redis.info("commandstats")).includes("cmdstat_hget:"));
  const late = starter.start([row], by);
  late.catch(() => undefined);
  await goOn();
  await waiting;
  await expect(late).rejects.toMatchObject(CHANGED);
  expect(await stack.redis.exists(keys.run(id))).toBe(0);
});

it("that begins when its process has heard of the next certificate is refused", async () => {
  const id = "01890000-0000-7000-8000-000000000012";
  await goOn();
  const { starter, row, by } = await rowRead(id);
  await runAndLose(id);
  const { epoch: before } = (await readCursor(stack.db, 0)) ?? { epoch: 0 };
  await goOn();
  await hear(held);
  expect(Number(scriptsOf(held, 0).knownEpoch)).toBeGreaterThan(before);
  await expect(starter.start([row], by)).rejects.toMatchObject(CHANGED);
  expect(await stack.redis.exists(keys.run(id))).toBe(0);
  // Read anew it is no longer to be started.
  expect((await readRun(stack.db, id))?.status).toBe("COMPLETED");
});

it("that begins under the certificate under which its row was read is made", async () => {
  const id = "01890000-0000-7000-8000-000000000013";
  await goOn();
  const { starter, row, by } = await rowRead(id);
  expect(await starter.start([row], by)).toBe(1);
  expect(await stack.redis.exists(keys.run(id))).toBe(1);
});

it("that its process could not hear of a certificate before is not made", async () => {
  const id = "01890000-0000-7000-8000-000000000014";
  const clock = new TestClock();
  const redis = connectRedis({ url: stack.redisUrl }, "deaf");
  const deaf = await contextOf(stack, { id: "deaf", redis, clock });
  try {
    await goOn();
    // Its server says what time it is, and nothing of the epoch for as long as it asks.
    const hget = redis.hget.bind(redis);
    redis.hget = ((key: string, field: string) => {
      if (field !== "epoch") {
        return hget(key, field);
      }
      clock.offsetMs += 10_000;
      return Promise.reject(new Error("Connection is closed."));
    }) as typeof redis.hget;
    const { starter, row, by } = await rowRead(id, deaf);
    redis.hget = hget;
    await runAndLose(id);
    await goOn();
    expect(await starter.start([row], by)).toBe(0);
    expect(await stack.redis.exists(keys.run(id))).toBe(0);
  } finally {
    deaf.close();
    redis.disconnect();
  }
});

it("of a process that begins before there is a certificate waits for it, and is made", async () => {
  const id = "01890000-0000-7000-8000-000000000015";
  await stack.redis.flushall();
  await stack.redis.script("FLUSH");
  const fresh = await contextOf(stack, { id: "fresh" });
  await stack.redis.config("RESETSTAT");
  const read = rowRead(id, fresh);
  await waitFor(async () => (await stack.redis.info("commandstats")).includes("cmdstat_hget:"));
  await goOn();
  const { starter, row, by } = await read;
  expect(await starter.start([row], by)).toBe(1);
  expect(await stack.redis.exists(keys.run(id))).toBe(1);
  fresh.close();
});

it("of several servers that are away none leaves an error to nobody", async () => {
  const context = { ...held, deployment: { ...held.deployment, partitions: 2 } };
  const silent = { time: () => new Promise(() => undefined), hget: () => Promise.resolve(null) };
  const gone = { ...silent, time: () => Promise.reject(new Error("Connection is closed.")) };
  [silent, gone].forEach((redis, p) =>
    Object.defineProperty(scriptsOf(context, p), "redis", { value: redis }),
  );
  const stray: unknown[] = [];
  const note = (error: unknown): void => void stray.push(error);
  process.prependListener("unhandledRejection", note);
  onTestFinished(() => void process.off("unhandledRejection", note));
  partition = createPartition(living, 0);
  await expect(new Starter(context).deadlines()).rejects.toThrow("Connection is closed.");
  expect(stray).toEqual([]);
});
