/**
 * Who goes first at a worker that has more to do than it can: priorities, queues that share it, and
 * steps that the end of their run waits for. The bounds of docs/limits.md, counted in executed
 * steps and not in time: they hold on any machine.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createClient, type Client } from "../sdk/index.ts";
import { defineFunction } from "../sdk/define-function.ts";
import { partitionKeys, PRIORITIES } from "../sdk/internal.ts";
import { FunctionRegistry } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { waitFor } from "./support/index.ts";

/** Every so many looks a worker asks all levels (worker/reader.ts). */
const FAIR = 32;
const CONCURRENCY = 2;
/** Runs of a tenant in progress at one time. */
const PLACES = 20;

let engine: Engine;
let client: Client;
/** The labels of executed steps, in order. */
let executed: string[] = [];
/** Steps hold on here until it opens. */
let gate = Promise.resolve();
let open = (): void => undefined;

function close(): void {
  gate = new Promise((resolve) => (open = resolve));
}

const say = (name: string) =>
  defineFunction<{ label: string }>(name, async ({ params }) => {
    await gate;
    executed.push(params.label);
    return null;
  });

beforeAll(async () => {
  engine = await startEngine({ tenantRunsMax: PLACES });
  const crash = defineFunction("crash", async () => {
    await gate;
    executed.push("crash");
    throw new Error("as always");
  });
  const registry = new FunctionRegistry([say("say"), say("shout"), crash]);
  await engine.worker({ registry, concurrency: CONCURRENCY });
  // Serves a queue of its own, which the first does not.
  await engine.worker({ registry: new FunctionRegistry([say("sing")]), concurrency: CONCURRENCY });
  const database = engine.db;
  client = await createClient({ redisUrl: engine.redisUrl, database, submitTimeoutMs: 60_000 });
});
afterAll(async () => {
  open();
  await client.close();
  await engine.stop();
});
beforeEach(() => {
  executed = [];
  close();
});

const step = (id: string, fn = "say"): object => ({
  ...{ id, type: "function" },
  config: { function_name: fn, params: { label: id } },
});

/** Submits so many runs of one step; they are accepted, in this order. */
function submit(label: string, count: number, more: object = {}, fn = "say"): Promise<string[]> {
  const workflow = { name: label, nodes: [step(label, fn)], edges: [] };
  const one = { workflow: workflow as never, input: {}, ...more };
  return Promise.all(Array.from({ length: count }, () => client.submit(one)));
}

/** So many first tokens stand in their queues, those in the hands of workers included. */
async function queued(tokens: number): Promise<void> {
  const keys = partitionKeys(0);
  const streams = ["say", "shout", "sing"].flatMap((fn) =>
    PRIORITIES.map((priority) => keys.entryQueue(`fn:${fn}`, priority)),
  );
  await waitFor(async () => {
    const lengths = await Promise.all(streams.map((stream) => engine.redis.xlen(stream)));
    return lengths.reduce((sum, length) => sum + length, 0) === tokens ? true : undefined;
  });
}

/** So many steps have been executed since the test began. */
async function done(steps: number): Promise<void> {
  await waitFor(() => (executed.length >= steps ? true : undefined), { timeoutMs: 60_000 });
}

const count = (label: string, until = executed.length): number =>
  executed.slice(0, until).filter((one) => one === label).length;

describe("W03: priorities", () => {
  it("high overtakes a backlog of low: no more low steps go before it than a worker has in hand", async () => {
    await submit("low", 100, { priority: "low" });
    await submit("high", 20, { priority: "high" });
    await queued(120);
    open();
    await done(120);
    // What is in hand when the gate opens, and what every FAIR-th look brings.
    const looks = Math.ceil((20 + 2 * CONCURRENCY) / FAIR) + 1;
    const bound = CONCURRENCY + looks * CONCURRENCY;
    expect(count("low", executed.lastIndexOf("high"))).toBeLessThanOrEqual(bound);
  });

  it("low does not starve below a backlog of high: every FAIR-th look takes one", async () => {
    const LOWS = 2;
    await submit("high", 300, { priority: "high" });
    await submit("low", LOWS, { priority: "low" });
    await queued(300 + LOWS);
    open();
    await done(300 + LOWS);
    const bound = (LOWS * FAIR + 1) * CONCURRENCY;
    expect(count("high", executed.lastIndexOf("low"))).toBeLessThanOrEqual(bound);
  });
});

describe("W05: queues of their own", () => {
  it("share a worker step by step, however long one of them is", async () => {
    await submit("flood", 150);
    await submit("few", 30, {}, "shout");
    await queued(180);
    open();
    await done(180);
    const bound = 30 + 3 * CONCURRENCY;
    expect(count("flood", executed.lastIndexOf("few"))).toBeLessThanOrEqual(bound);
  });

  it("with workers of their own have nothing to do with each other", async () => {
    // The flood's steps hang: its worker is full of them, and more wait.
    await submit("flood", 50);
    await queued(50);
    const openFlood = open;
    gate = Promise.resolve();
    await submit("few", 30, {}, "sing");
    await done(30);
    expect(count("few")).toBe(30);
    openFlood();
    await done(80);
  });
});

describe("W04: settings.order: critical_path", () => {
  const SIDES = Array.from({ length: 30 }, (_, i) => `side_${i}`);
  const WAY = ["a", "b", "c", "d"];
  const graph = {
    name: "ordered",
    nodes: ["begin", ...SIDES, ...WAY].map((id) => step(id)),
    edges: [
      ...SIDES.map((to) => ({ from: "begin", to })),
      ...["begin", ...WAY].slice(1).map((to, i) => ({ from: ["begin", ...WAY][i] ?? "", to })),
    ],
  };
  const run = async (settings: object): Promise<void> => {
    const workflow = { ...graph, settings: { fusion: false, ...settings } };
    const id = await client.submit({ workflow: workflow as never, input: {} });
    open();
    expect(await client.ended(id, { timeoutMs: 60_000 })).toMatchObject({ status: "COMPLETED" });
    expect(executed.toSorted()).toEqual(["begin", ...SIDES, ...WAY].toSorted());
  };
  const sidesBefore = (last: string): number =>
    executed.slice(0, executed.indexOf(last)).filter((id) => id.startsWith("side")).length;

  it("takes the steps that the end waits for first, and all others after them", async () => {
    await run({ order: "critical_path" });
    // Beside each step of the way the worker's other hands are free.
    expect(executed.slice(0, 2)).toEqual(["begin", "a"]);
    expect(sidesBefore("d")).toBeLessThanOrEqual(WAY.length * (CONCURRENCY - 1));
  });

  it("without it steps go as they become ready", async () => {
    await run({});
    expect(sidesBefore("a")).toBe(SIDES.length);
  });
});

describe("X36: a workflow that crashes again and again", () => {
  it("delays another tenant's runs by a bound that does not know how often it crashes", async () => {
    const FEW = 3;
    const steps = ["x", "y", "z"];
    const retry = { max_attempts: 100, backoff_ms: 1, backoff_multiplier: 1, jitter: 0 };
    const crashing = {
      name: "crashing",
      nodes: [{ id: "c", type: "function", config: { function_name: "crash" }, retry }],
      edges: [],
    };
    const calm = {
      name: "calm",
      nodes: steps.map((id) => step(id)),
      edges: steps.slice(1).map((to, i) => ({ from: steps[i] ?? "", to })),
      settings: { fusion: false },
    };
    const runs = (workflow: object, tenant: string, howMany: number): Promise<string[]> =>
      Promise.all(
        Array.from({ length: howMany }, () =>
          client.submit({ workflow: workflow as never, input: {}, tenant }),
        ),
      );
    await runs(crashing, "crashing", 3 * PLACES);
    open();
    await waitFor(() => (count("crash") > 2 * PLACES ? true : undefined));
    const few = await runs(calm, "calm", FEW);
    const before = count("crash");
    await Promise.all(few.map((id) => client.ended(id, { timeoutMs: 60_000 })));
    const between = count("crash", executed.lastIndexOf("z")) - before;
    // Retries go before first steps but for every FAIR-th look, and later steps stand among them.
    const bound = FEW * FAIR * CONCURRENCY + (steps.length - 1) * (PLACES + CONCURRENCY);
    expect(between).toBeLessThanOrEqual(bound);
  });
});
