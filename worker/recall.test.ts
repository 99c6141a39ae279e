/** Handlers whose token is not wanted any more are told to stop, and what they answer is refused. */
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { compile } from "../compiler/index.ts";
import type { Ir } from "../compiler/ir.ts";
import { cancelRun, defineFunction, interveneToken } from "../sdk/internal.ts";
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

/** A halt is heard of within a second; what is none, at the next lease renewal. */
async function started(concurrency: number, leaseMs = 600_000): Promise<void> {
  slow.length = 0;
  worker = createWorker({
    ...{ redis: { url: own.url }, deployment: "test", partitions: 1, id: "w" },
    ...{ concurrency, registry: new FunctionRegistry([SLOW, FAST]) },
    ...{ leaseMs, logger: pino({ level: "silent" }) },
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

/** One element is slow while the other fails the map: that is no halt of the run, which goes on. */
function failedMap(): Ir {
  const body = {
    nodes: [
      { id: "which", type: "conditional" },
      fn("hangs", "slow"),
      { ...fn("fails", "builtin.fail") },
    ],
    edges: [
      { from: "which", to: "hangs", condition: "item == 1" },
      { from: "which", to: "fails" },
    ],
  };
  const map = { id: "each", type: "map", config: { items: [1, 2], do: body } };
  const after = { id: "after", type: "noop" };
  return irOf([map, after], [{ from: "each", to: "after", on: "error" }]);
}

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

  it("is told to stop when its node is settled by hand", async () => {
    await started(1);
    const run = await startedRun(p, irOf([fn("only", "slow")], []));
    await waitFor(() => slow.length === 1);
    const answer = { kind: "manual", action: "skip", by: "ann" } as const;
    const at = { runId: run.runId, home: "", node: 0, scope: null };
    await interveneToken(p.scripts, {
      ...{ ...at, queueKey: run.profile.queueKeys[0] as string, answer },
    });
    await waitFor(() => slow[0]?.aborted === true);
    await waitFor(async () => (await run.hash())["s"] === "completed");
    await waitFor(() => worker?.inFlight() === 0);
  });

  it("is told to stop when its map has failed, though its run goes on or has completed", async () => {
    await started(50, 3000);
    const run = await startedRun(p, failedMap());
    await waitFor(async () => (await run.hash())["s"] === "completed");
    await waitFor(() => slow.length === 1);
    await waitFor(() => slow[0]?.aborted === true);
    await waitFor(() => worker?.inFlight() === 0);
  });

  it("is told to stop when its round of a loop is over", async () => {
    await started(50, 3000);
    const nodes = [
      { id: "head", type: "noop" },
      ...[fn("a", "builtin.echo"), fn("b", "slow")],
      { id: "first", type: "noop", join: "any" },
      {
        ...{ id: "again", type: "loop" },
        config: { loop_back_to: "head", condition: "false", max_iterations: 2 },
      },
      { id: "after", type: "wait", config: { signal: "go" } },
    ];
    const pairs = ["head>a", "head>b", "a>first", "b>first", "first>again", "again>after"];
    const edges = pairs.map((pair) => pair.split(">")).map(([from, to]) => ({ from, to }));
    const run = await startedRun(p, irOf(nodes, edges));
    await waitFor(() => slow.length === 1);
    await waitFor(() => slow[0]?.aborted === true);
    await waitFor(() => worker?.inFlight() === 0);
    expect((await run.hash())["s"]).toBe("running");
  });

  it("is left alone while its token is wanted", async () => {
    await started(50, 3000);
    const nodes = [fn("a", "builtin.echo"), fn("b", "slow")];
    const run = await startedRun(p, irOf(nodes, [{ from: "a", to: "b" }]));
    await waitFor(() => slow.length === 1);
    // Begun later and void: whoever tells it to stop has looked at the other, too.
    await startedRun(p, failedMap());
    await waitFor(() => slow[1]?.aborted === true);
    expect(slow[0]?.aborted).toBe(false);
    await cancelRun(p.scripts, run.runId, "enough");
    await waitFor(() => slow[0]?.aborted === true);
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
