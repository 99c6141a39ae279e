/** What stands still inside elements of maps is told with their places, by `status` and by `why`. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../../compiler/index.ts";
import { reasonText } from "../../cmd/commands/why.ts";
import { tellReport } from "../../cmd/commands/status.ts";
import type { Output } from "../../cmd/output.ts";
import { createClient, type Client } from "../../sdk/client.ts";
import { partitionKeys } from "../../sdk/internal.ts";
import type { ElementReport } from "../../sdk/client-report.ts";
import { explainRun, whyRun, type Reason } from "../../supervisor/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";
import { waitFor } from "../support/index.ts";

const LARGE = 20_000;
let engine: Engine;
let client: Client;
let failing = true;

/** Ends what the handler "slow" has begun, each when the test says so. */
const answers: ((output: Json) => void)[] = [];

/** Node 0 is not the map, so that a place says more than zeroes. */
const mapOf = (nodes: object[], edges: object[] = [], more: object = {}): object => ({
  name: "elements",
  nodes: [
    { id: "before", type: "transform", config: { expression: "input.list" } },
    { id: "each", type: "map", config: { items: "${data}", do: { nodes, edges }, ...more } },
  ],
  edges: [{ from: "before", to: "each" }],
});
const wait = { id: "go", type: "wait", config: { signal: "go" } };

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  registry.register("large", ({ input }) => ({ item: input, text: "x".repeat(LARGE) }) as never);
  registry.register("slow", () => new Promise((answer) => void answers.push(answer as never)));
  registry.register("fails", ({ input }) => {
    if (failing) {
      throw new Error("not yet");
    }
    return input as never;
  });
  await engine.worker({ registry });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
  await publish(engine.db, { name: "child", nodes: [wait], edges: [] });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const start = (workflow: object, list: Json[]): Promise<string> =>
  client.submit({ workflow: workflow as never, input: { list } });

/** What `status` says of elements, as soon as it is about so many. */
function elements(runId: string, count: number): Promise<ElementReport[]> {
  return waitFor(
    async () => {
      const { elements: told = [] } = await client.status(runId);
      return told.length === count ? told : undefined;
    },
    { describe: `${count} elements do not stand still` },
  );
}

/** What `why` says about one node; `explainRun` says the same. */
async function why(runId: string, node: string): Promise<Reason[]> {
  const irOf = (hash: string) => client.irOf(hash);
  const target = { redis: engine.redis, runId, irOf };
  const deployment = await client.deployment();
  const whole = await whyRun({ ...target, db: engine.db, deployment });
  const own = (whole?.reasons ?? []).filter((reason) => reason.node === node);
  const { reasons } = await explainRun({ ...target, partition: 0 });
  expect(reasons.filter((reason) => reason.node === node)).toEqual(own);
  return [...own].sort((a, b) => ((a.home ?? "") < (b.home ?? "") ? -1 : 1));
}

/** What `gavotte status` prints of a run, its rows with single spaces. */
async function printed(runId: string): Promise<string[]> {
  const lines: string[] = [];
  const output = {
    line: (text: string) => lines.push(text),
    table: (rows: string[][]) => lines.push(...rows.map((row) => row.join(" "))),
  };
  tellReport(output as unknown as Output, await client.status(runId));
  return lines;
}

async function outputOf(runId: string): Promise<unknown> {
  const row = await engine.ended(runId);
  expect(row.error).toBeNull();
  expect((await client.status(runId)).elements).toBeUndefined();
  return JSON.parse(row.output ?? "null");
}

describe("elements of a map", () => {
  it("that wait for a signal and a callback are named; each answer reaches its own", async () => {
    const runId = await start(mapOf([wait]), ["a", "b", "c"]);
    const told = await elements(runId, 3);
    const about = { node: "go", scope: "", status: "waiting", attempts: 1 };
    const signal = { for: "signal", until: null, signal: "go" };
    expect(told).toMatchObject(
      [0, 1, 2].map((i) => ({ ...about, element: `1#${i}`, wait: signal })),
    );
    const tokens = told.map((one) => one.wait?.token ?? "");
    expect(await printed(runId)).toContain(
      `  go 1#2 waiting for signal go (callback ${tokens[2] ?? ""})`,
    );
    const reasons = await why(runId, "go");
    expect(reasons).toMatchObject([0, 1, 2].map((i) => ({ kind: "wait", home: `1#${i}` })));
    expect(reasonText(reasons[1] as Reason)).toMatch(/^go 1#1: waiting for signal go/);
    expect(await why(runId, "each")).toMatchObject([{ kind: "map", total: 3, running: 3 }]);
    await client.callback(tokens[1] ?? "", "second");
    expect((await elements(runId, 2)).map(({ element }) => element)).toEqual(["1#0", "1#2"]);
    // The order in which elements come to wait is not that of the items.
    await client.signal(runId, "go", "other");
    await client.signal(runId, "go", "other");
    expect(await outputOf(runId)).toEqual(["other", "second", "other"]);
  });

  it("that wait for people are named, and so are those of a map inside a map", async () => {
    const config = { title: "May ${item}?", assignees: ["ann"] };
    const ask = { id: "ask", type: "human", config };
    const inner = { id: "inner", type: "map", config: { items: "${item}", do: { nodes: [ask] } } };
    const runId = await start(mapOf([inner]), [["a", "b"], ["c"]]);
    const told = await elements(runId, 3);
    const places = ["1#0/0#0", "1#0/0#1", "1#1/0#0"];
    expect(told.map(({ element }) => element)).toEqual(places);
    expect(told.map((one) => one.wait?.title)).toEqual(["May a?", "May b?", "May c?"]);
    expect(await why(runId, "ask")).toMatchObject(
      places.map((home) => ({ kind: "wait", home, wait: { kind: "approval" } })),
    );
    expect(await printed(runId)).toContain(
      `  ask 1#1/0#0 waiting for approval by ann (${told[2]?.wait?.token ?? ""})`,
    );
    for (const one of told) {
      const approved = one.element !== "1#0/0#1";
      const decision = { actor: "ann", approved, data: one.element };
      await waitFor(() => client.decide(one.wait?.token ?? "", decision).catch(() => undefined));
    }
    expect(await outputOf(runId)).toMatchObject([
      [
        { approved: true, data: "1#0/0#0" },
        { approved: false, data: "1#0/0#1" },
      ],
      [{ approved: true, data: "1#1/0#0" }],
    ]);
  });

  it("that wait for a child are named with it, and the child with its element", async () => {
    const child = { id: "sub", type: "subworkflow", config: { workflow: "child" } };
    const runId = await start(mapOf([child]), ["a", "b"]);
    const told = await elements(runId, 2);
    const runs = told.map((one) => one.wait?.run ?? "");
    expect(told).toMatchObject([
      { element: "1#0", node: "sub", wait: { for: "child" } },
      { element: "1#1", node: "sub", wait: { for: "child" } },
    ]);
    const { children = [] } = await waitFor(async () => {
      const report = await client.status(runId);
      return report.children?.length === 2 ? report : undefined;
    });
    const own = children.map(({ run_id, node, element }) => ({ run_id, node, element }));
    expect(own).toHaveLength(2);
    for (const [i, run_id] of runs.entries()) {
      expect(own).toContainEqual({ run_id, node: "sub", element: `1#${i}` });
      expect((await printed(runId)).join("\n")).toMatch(`child of sub 1#${i} child`);
      await childWaits(run_id);
    }
    expect(await why(runId, "sub")).toMatchObject(
      runs.map((run, i) => ({ kind: "wait", home: `1#${i}`, wait: { kind: "child", run } })),
    );
    await client.signal(runs[1] ?? "", "go", "second");
    await client.signal(runs[0] ?? "", "go", "first");
    expect(await outputOf(runId)).toEqual(["first", "second"]);
  });

  it("that have an output over 16 KiB and then wait go on with the whole of it", async () => {
    const large = { id: "large", type: "function", config: { function_name: "large" } };
    const expression = "{'size': size(ctx.large.output.text), 'go': ctx.go.output}";
    const both = { id: "both", type: "transform", config: { expression } };
    const edges = [
      { from: "large", to: "go" },
      { from: "go", to: "both" },
    ];
    const runId = await start(mapOf([large, wait, both], edges), [1, 2]);
    const told = await elements(runId, 2);
    expect(told.map(({ element, node }) => [element, node])).toEqual([
      ["1#0", "go"],
      ["1#1", "go"],
    ]);
    for (const one of told) {
      await client.callback(one.wait?.token ?? "", one.element);
    }
    expect(await outputOf(runId)).toEqual([
      { size: LARGE, go: "1#0" },
      { size: LARGE, go: "1#1" },
    ]);
  });

  it("that are executed again with their map are not settled by what comes late of those before", async () => {
    const slow = { id: "slow", type: "function", config: { function_name: "slow" } };
    const runId = await start(mapOf([slow]), ["a"]);
    await waitFor(() => answers.length === 1);
    // Paused: nobody carries the one order out before the other is there.
    await client.operations.pause(runId);
    for (const action of ["fail", "retry"] as const) {
      await client.operations.intervene(runId, "each", { action, by: "ann" });
    }
    await client.operations.resume(runId);
    await waitFor(() => answers.length === 2);
    answers[0]?.("late");
    const queue = partitionKeys(0).queue("fn:slow", "normal");
    const isRefused = async (): Promise<boolean> =>
      (await engine.redis.xpending(queue, "workers"))[0] === 1;
    await waitFor(isRefused, { describe: "nothing became of the late result" });
    answers[1]?.("anew");
    expect(await outputOf(runId)).toEqual(["anew"]);
  });

  it("that wait for their retry or for a time are named with it", async () => {
    const retry = { max_attempts: 2, backoff_ms: 3_600_000 };
    const fails = { id: "f", type: "function", config: { function_name: "fails" }, retry };
    const delay = { id: "d", type: "delay", config: { delay_ms: 3_600_000 } };
    const runId = await start(mapOf([fails, delay]), [7]);
    const told = await elements(runId, 2);
    const at = { element: "1#0", scope: "", attempts: 1 };
    expect(told).toMatchObject([
      { ...at, node: "d", status: "waiting", wait: { for: "delay" } },
      { ...at, node: "f", status: "retrying" },
    ]);
    expect(await why(runId, "f")).toMatchObject([{ kind: "retry", home: "1#0", attempt: 2 }]);
    expect(await why(runId, "d")).toMatchObject([{ kind: "timer", home: "1#0" }]);
    failing = false;
    const by = { element: "1#0", by: "ann" };
    await client.operations.intervene(runId, "f", { action: "retry", ...by });
    await client.operations.intervene(runId, "d", { action: "complete", output: 8, ...by });
    expect(await outputOf(runId)).toMatchObject([{ d: 8 }]);
  });
});

/** Until the child waits for its signal. */
async function childWaits(runId: string): Promise<void> {
  await waitFor(async () => (await client.status(runId)).nodes["go"]?.status === "waiting");
}
