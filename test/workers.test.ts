/**
 * Workers come and go: what one has in hand is bounded, and whoever leaves in order charges nobody.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../sdk/index.ts";
import { defineFunction } from "../sdk/define-function.ts";
import { partitionKeys } from "../sdk/internal.ts";
import { readJournal } from "../sdk/postgres/index.ts";
import { FunctionRegistry, type Worker } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { waitFor } from "./support/index.ts";

const RUNS = 40;
/** What was handed back is found by a look for stale entries, of which there are two in a lease. */
const LEASE_MS = 1000;
const STEPS = ["a", "b", "c", "d"];

let engine: Engine;
let client: Client;
/** Steps in execution, and the most there were at one time. */
let running = 0;
let most = 0;
/** Idempotency keys of executions, in order. */
let executed: string[] = [];
const workers: Worker[] = [];

beforeAll(async () => {
  engine = await startEngine();
  const { db: database, redisUrl } = engine;
  client = await createClient({ redisUrl, database, submitTimeoutMs: 60_000 });
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop(2000)));
  executed = [];
  most = 0;
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const turn = defineFunction("turn", async ({ idempotencyKey }) => {
  executed.push(idempotencyKey);
  running += 1;
  most = Math.max(most, running);
  await new Promise((resolve) => setImmediate(resolve));
  running -= 1;
  return null;
});

async function work(more: object = {}): Promise<Worker> {
  const worker = await engine.worker({ registry: new FunctionRegistry([turn]), ...more });
  workers.push(worker);
  return worker;
}

/** Four steps beside each other, or one after the other through the queues. */
function workflowOf(shape: "fan" | "chain"): never {
  const config = { function_name: "turn" };
  const nodes = ["in", ...STEPS].map((id) => ({ id, type: "function", config }));
  const from = (i: number): string => (shape === "fan" || i === 0 ? "in" : (STEPS[i - 1] ?? ""));
  const edges = STEPS.map((to, i) => ({ from: from(i), to }));
  return { name: shape, nodes, edges, settings: { fusion: false } } as never;
}

const submit = (shape: "fan" | "chain"): Promise<string[]> =>
  Promise.all(
    Array.from({ length: RUNS }, () => client.submit({ workflow: workflowOf(shape), input: {} })),
  );

async function completed(ids: readonly string[]): Promise<void> {
  const rows = await Promise.all(ids.map((id) => client.ended(id, { timeoutMs: 60_000 })));
  expect(rows.map((row) => row.status)).toEqual(ids.map(() => "COMPLETED"));
}

describe("W10: a worker", () => {
  it.each([1, 3])("never has more than its concurrency of %i in execution", async (concurrency) => {
    await work({ concurrency, id: `bounded-${concurrency}` });
    await completed(await submit("fan"));
    expect(most).toBe(concurrency);
  });
});

describe("W11: workers that come and leave while runs are on their way", () => {
  it("lose nothing, and no step is executed twice", async () => {
    const ids: string[] = [];
    let worker = await work({ id: "w-0" });
    for (let i = 1; i <= 4; i++) {
      const submitted = submit("chain");
      const before = executed.length;
      await waitFor(() => executed.length > before + RUNS);
      const next = await work({ id: `w-${i}` });
      await worker.stop(5000);
      worker = next;
      ids.push(...(await submitted));
    }
    await completed(ids);
    expect(executed).toHaveLength(ids.length * (STEPS.length + 1));
    expect(new Set(executed).size).toBe(executed.length);
  });
});

describe("W12: a worker that stops", () => {
  const config = { function_name: "hang" };
  const workflow = { name: "hangs", nodes: [{ id: "h", type: "function", config }], edges: [] };

  it("hands back what does not end in time: another executes it as the same attempt", async () => {
    let begun = 0;
    const hang = defineFunction("hang", async ({ signal }) => {
      begun += 1;
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return "late";
    });
    const registry = new FunctionRegistry([hang]);
    const first = await work({ registry, id: "leaves", leaseMs: LEASE_MS });
    const id = await client.submit({ workflow: workflow as never, input: {} });
    await waitFor(() => begun === 1);
    await first.stop(0);

    const attempts: number[] = [];
    const answer = defineFunction("hang", ({ attempt }) => {
      attempts.push(attempt);
      return "done";
    });
    await work({ registry: new FunctionRegistry([answer]), id: "stays", leaseMs: LEASE_MS });
    expect(await client.ended(id, { timeoutMs: 20_000 })).toMatchObject({ status: "COMPLETED" });
    expect(attempts).toEqual([1]);
    const journal = await readJournal(engine.db, id);
    const told = journal.map(({ transition }) => transition.e);
    expect(told).not.toContain("node.retrying");
    expect(told).not.toContain("node.failed");
  });

  it("finishes what ends in time, and takes nothing new", async () => {
    let open = (): void => undefined;
    let begun = 0;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const wait = defineFunction("hang", async () => {
      begun += 1;
      await gate;
      return "in time";
    });
    const worker = await work({ registry: new FunctionRegistry([wait]), id: "ends" });
    const first = await client.submit({ workflow: workflow as never, input: {} });
    await waitFor(() => begun === 1);
    const stopping = worker.stop(20_000);
    const second = await client.submit({ workflow: workflow as never, input: {} });
    open();
    await stopping;
    expect(await client.ended(first, { timeoutMs: 20_000 })).toMatchObject({ status: "COMPLETED" });
    expect(await client.status(second)).toMatchObject({ status: "RUNNING" });
    expect(begun).toBe(1);
    await client.cancel(second);
  });
});

describe("X19: a start", () => {
  it("is answered with its run's id while every worker is busy", async () => {
    let open = (): void => undefined;
    let begun = 0;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const hang = defineFunction("hang", async () => {
      begun += 1;
      await gate;
      return null;
    });
    await work({ registry: new FunctionRegistry([hang]), concurrency: 1, id: "busy" });
    const config = { function_name: "hang" };
    const workflow = { name: "busy", nodes: [{ id: "h", type: "function", config }], edges: [] };
    const ids = await Promise.all(
      Array.from({ length: RUNS }, () => client.submit({ workflow: workflow as never, input: {} })),
    );
    await waitFor(() => begun === 1);
    expect(new Set(ids).size).toBe(RUNS);
    expect(begun).toBe(1);
    open();
    await completed(ids);
  });
});

describe("B12: a worker whose wall clock is wrong", () => {
  it("parks a delay until the time that Redis' clock shows then", async () => {
    const clock = {
      nowMs: () => Date.now() + 3_600_000,
      monotonicMs: () => performance.now(),
    };
    await work({ clock });
    const untilMs = Math.floor(Date.now() / 1000) * 1000 + 1_800_000;
    const config = { until: new Date(untilMs).toISOString() };
    const nodes = [{ id: "till", type: "delay", config }];
    const runId = await client.submit({ workflow: { name: "till", nodes, edges: [] } as never });
    const status = await waitFor(async () => {
      const now = (await client.status(runId)).nodes["till"]?.status;
      return now === "waiting" || now === "completed" ? now : undefined;
    });
    expect(status).toBe("waiting");
    const timers = await engine.redis.zrange(partitionKeys(0).timers, 0, -1, "WITHSCORES");
    const dueMs = Number(timers[timers.findIndex((member) => member.includes(runId)) + 1]);
    expect(dueMs).toBeGreaterThanOrEqual(untilMs);
    expect(dueMs).toBeLessThan(untilMs + 60_000);
    await client.cancel(runId);
  });
});
