/**
 * Tenants: a flood of one slows itself down. The bound of docs/limits.md, counted in executed steps
 * and not in time: it holds on any machine.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../sdk/index.ts";
import { defineFunction } from "../sdk/define-function.ts";
import { readRun } from "../sdk/postgres/index.ts";
import { FunctionRegistry } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";

const PLACES = 20;
const FLOOD_RUNS = 5000;
const FEW_RUNS = 10;
const STEPS = ["a", "b", "c"];

let engine: Engine;
let client: Client;
/** The tenant of each executed step, in order. */
const executed: string[] = [];

beforeAll(async () => {
  engine = await startEngine({ tenantRunsMax: PLACES });
  const step = defineFunction<{ tenant: string }>("step", ({ params }) => {
    executed.push(params.tenant);
    return null;
  });
  await engine.worker({ registry: new FunctionRegistry([step]) });
  client = await createClient({
    ...{ redisUrl: engine.redisUrl, database: engine.db, submitTimeoutMs: 60_000 },
  });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

function submit(tenant: string): Promise<string> {
  const config = { function_name: "step", params: { tenant: "${input.tenant}" } };
  const workflow = {
    name: "steps",
    nodes: STEPS.map((id) => ({ id, type: "function", config })),
    edges: STEPS.slice(1).map((to, i) => ({ from: STEPS[i] as string, to })),
    // Each step goes through the queues: the bound is theirs.
    settings: { fusion: false },
  };
  return client.submit({ workflow, input: { tenant }, tenant });
}

const many = (tenant: string, count: number): Promise<string[]> =>
  Promise.all(Array.from({ length: count }, () => submit(tenant)));
const stepsOf = (tenant: string): number => executed.filter((one) => one === tenant).length;

describe("a flood of one tenant", () => {
  it("lets the runs of another end within a bound of its steps that does not know its size", async () => {
    const flood = await many("flood", FLOOD_RUNS);
    const few = await many("few", FEW_RUNS);
    const before = stepsOf("flood");
    const rows = await Promise.all(few.map((id) => client.ended(id, { timeoutMs: 120_000 })));
    const between = executed.slice(0, executed.lastIndexOf("few") + 1);
    const count = between.filter((one) => one === "flood").length - before;
    expect(rows.map((row) => row.status)).toEqual(rows.map(() => "COMPLETED"));
    // Before the first step all of what is in progress; before each later one, one step of each.
    const width = 1;
    const bound = PLACES * STEPS.length + (STEPS.length - 1) * PLACES * width;
    expect(count).toBeLessThanOrEqual(bound);
    expect(stepsOf("flood")).toBeLessThan(FLOOD_RUNS * STEPS.length);
    const last = await readRun(engine.db, flood.at(-1) as string);
    expect(last).toMatchObject({ status: "QUEUED", held: true });
  }, 240_000);
});
