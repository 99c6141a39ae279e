/** Handlers whose token is not wanted any more are told to stop, and what they answer is refused. */
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { compile } from "../compiler/index.ts";
import type { Ir } from "../compiler/ir.ts";
import { cancelRun, defineFunction } from "../sdk/internal.ts";
import { testPartition, type TestPartition } from "../test/harness/partition.ts";
import { startedRun } from "../test/harness/tokens.ts";
import { testRedis, waitFor, type TestRedis } from "../test/support/index.ts";
import { createWorker, FunctionRegistry, type Worker } from "./index.ts";

let own: TestRedis;
let p: TestPartition;
let worker: Worker | undefined;
const slow: AbortSignal[] = [];
let goOn: () => void = () => undefined;

beforeAll(async () => {
  own = await testRedis();
  p = await testPartition(own.connect());
});
afterEach(() => worker?.stop(0));
afterAll(() => own.close());

/** Goes on until it is told to stop. */
const SLOW = defineFunction("slow", async ({ signal }) => {
  slow.push(signal);
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  throw new Error("stopped");
});
const FAST = defineFunction(
  "fast",
  () => new Promise<string>((resolve) => (goOn = () => resolve("first"))),
);

async function started(concurrency: number): Promise<void> {
  slow.length = 0;
  worker = createWorker({
    ...{ redis: { url: own.url }, deployment: "test", partitions: 1, id: "w" },
    ...{ concurrency, registry: new FunctionRegistry([SLOW, FAST]) },
    ...{ leaseMs: 600_000, logger: pino({ level: "silent" }) },
  });
  await worker.start();
}

function irOf(nodes: object[], edges: object[]): Ir {
  const { ir, diagnostics } = compile({ document: { name: "race", nodes, edges } as never });
  if (ir === null) {
    throw new Error(JSON.stringify(diagnostics));
  }
  return ir;
}
const fn = (id: string, name: string): object => ({
  ...{ id, type: "function", config: { function_name: name } },
});

describe("a handler whose token is not wanted any more", () => {
  // Two at one time: a worker whose hands are full hears of it, too.
  it.each([2, 50])("is told to stop when its join has fired, with room for %i", async (room) => {
    await started(room);
    const join = { id: "first", type: "noop", join: { mode: "any", cancel_losers: true } };
    const edges = ["a", "b"].map((from) => ({ from, to: "first" }));
    const run = await startedRun(p, irOf([fn("a", "fast"), fn("b", "slow"), join], edges));
    await waitFor(() => slow.length === 1);
    goOn();
    await waitFor(async () => (await run.hash())["s"] === "completed");
    await waitFor(() => slow[0]?.aborted === true);
    await waitFor(() => worker?.inFlight() === 0);
    const b = run.profile.ir.nodes.findIndex(({ id }) => id === "b");
    expect((await run.hash())[`n${b}`]).toBe("x1||");
  });

  it("is told to stop when its run is cancelled", async () => {
    await started(1);
    const run = await startedRun(p, irOf([fn("only", "slow")], []));
    await waitFor(() => slow.length === 1);
    await cancelRun(p.scripts, run.runId, "enough");
    await waitFor(() => slow[0]?.aborted === true);
    await waitFor(() => worker?.inFlight() === 0);
  });
});
