/** What executes nothing waits for no worker that has the node's function, nor for its queue. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Ir } from "../compiler/ir.ts";
import { compile } from "../compiler/index.ts";
import { createClient, type Client, type Json, type NodeOrder } from "../sdk/index.ts";
import { bodyHash, completeTokens, COMPLETION, GROUP, Profiles } from "../sdk/internal.ts";
import { readRun } from "../sdk/postgres/index.ts";
import { FunctionRegistry } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { queueKeysOf, type TestPartition } from "./harness/partition.ts";
import { TokenPlayer } from "./harness/tokens.ts";
import { emptyRedis, waitFor } from "./support/index.ts";

let engine: Engine;
let client: Client;
/** Executions of `held` under way. */
const held: (() => void)[] = [];

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  registry.register("served", () => "served");
  registry.register("held", () => new Promise<string>((go) => held.push(() => go("held"))));
  await engine.worker({ registry });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
  await client.operations.pauseQueue("fn:served");
  await client.operations.pauseQueue("kind:http");
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

/** So wide that what follows its skip is more than a step sends along. */
const WIDTH = 13;
const ROWS = ["a", "b", "c"];
const rowOf = (row: string): string[] => Array.from({ length: WIDTH }, (_, i) => `${row}${i}`);

/** Three rows of nodes, each joined to all of the next, none of which is ever reached. */
function region(work: object, from: readonly string[]): { nodes: object[]; edges: object[] } {
  const edges = rowOf("a").flatMap((to) =>
    from.map((source) => ({ from: source, to, condition: "input.n > 99" })),
  );
  for (const [above, below] of [
    ["a", "b"],
    ["b", "c"],
  ] as const) {
    const pairs = rowOf(above).flatMap((source) =>
      rowOf(below).map((to) => ({ from: source, to })),
    );
    edges.push(...(pairs as typeof edges));
  }
  return { nodes: ROWS.flatMap((row) => rowOf(row).map((id) => ({ id, ...work }))), edges };
}

const works = {
  "with a function that no worker has": { type: "function", config: { function_name: "absent" } },
  "in a queue that no worker reads": {
    type: "transform",
    config: { expression: "1" },
    queue: "nobody",
  },
  "whose queue is paused": { type: "function", config: { function_name: "served" } },
  "whose kind is paused": { type: "http", config: { url: "http://127.0.0.1:9" } },
};
const noop = (id: string): object => ({ id, type: "noop" });
const places: { [name: string]: (work: object) => object } = {
  "of a run": (work) => {
    const { nodes, edges } = region(work, ["s", "t"]);
    const all = [noop("s"), noop("t"), noop("z"), ...nodes];
    return { nodes: all, edges: [{ from: "s", to: "t" }, { from: "t", to: "z" }, ...edges] };
  },
  "of a map's elements": (work) => {
    const { nodes, edges } = region(work, ["s", "t"]);
    const body = { nodes: [noop("s"), noop("t"), ...nodes] };
    const config = { items: [1, 2, 3], do: { ...body, edges: [{ from: "s", to: "t" }, ...edges] } };
    return { nodes: [{ id: "m", type: "map", config }], edges: [] };
  },
  "of a loop's rounds": (work) => {
    const { nodes, edges } = region(work, ["s", "t"]);
    const config = { loop_back_to: "s", condition: "iteration < 3", max_iterations: 3 };
    const latch = { id: "again", type: "loop", config };
    const last = rowOf("c").map((from) => ({ from, to: "again" }));
    const own = [{ from: "s", to: "t" }, { from: "t", to: "again" }, ...last, ...edges];
    return { nodes: [noop("s"), noop("t"), latch, ...nodes], edges: own };
  },
};

async function ended(runId: string): Promise<{ status: string; output: Json }> {
  const { status, output } = await client.wait(runId, { timeoutMs: 10_000 });
  return { status, output };
}

describe.each(Object.entries(places))("C1: a wide region %s that is skipped", (_, place) => {
  it.each(Object.entries(works))("is nobody's work: %s", async (__, work) => {
    const workflow = { name: "wide", ...place(work) } as never;
    const runId = await client.submit({ workflow, input: { n: 1 } });
    expect(await ended(runId)).toMatchObject({ status: "COMPLETED" });
  });
});

describe("a token that nobody begins", () => {
  const workflow = {
    name: "absent",
    nodes: [
      { id: "step", type: "function", config: { function_name: "absent" } },
      { id: "after", type: "transform", config: { expression: "ctx.step.output" } },
      { id: "failed", type: "noop" },
    ],
    edges: [
      { from: "step", to: "after" },
      { from: "step", to: "failed", on: "error" },
    ],
  } as never;
  const orders: [NodeOrder["action"], object, string[]][] = [
    ["complete", { output: 7 }, ["completed", "completed", "skipped"]],
    ["fail", { error: { code: "NO", message: "no" } }, ["failed", "skipped", "completed"]],
    ["skip", {}, ["skipped", "skipped", "skipped"]],
  ];
  const statuses = async (runId: string): Promise<(string | undefined)[]> => {
    const { nodes } = await client.status(runId);
    return ["step", "after", "failed"].map((id) => nodes[id]?.status);
  };
  const isReady = (runId: string): Promise<boolean> =>
    waitFor(async () => (await statuses(runId))[0] === "ready");

  it.each(orders)("is settled by hand all the same: %s", async (action, more, are) => {
    const runId = await client.submit({ workflow });
    await isReady(runId);
    await client.operations.intervene(runId, "step", { action, by: "ann", ...more } as NodeOrder);
    expect(await ended(runId)).toMatchObject({ status: "COMPLETED" });
    expect(await statuses(runId)).toEqual(are);
  });

  it.each(orders)(
    "also when it was held by a pause, and Redis has lost it: %s",
    async (action, more, are) => {
      const runId = await client.submit({ workflow });
      await isReady(runId);
      await client.operations.pause(runId);
      await client.operations.intervene(runId, "step", { action, by: "ann", ...more } as NodeOrder);
      const isTold = async (): Promise<boolean> =>
        (await client.operations.audit({ runId, limit: 9 })).some((entry) => entry.node === "step");
      await waitFor(isTold, { describe: "what was done by hand is not archived" });
      await emptyRedis(engine.redis);
      await client.operations.resume(runId);
      expect(await ended(runId)).toMatchObject({ status: "COMPLETED" });
      expect(await statuses(runId)).toEqual(are);
    },
  );
});

describe("what is left to be done of a step when nobody serves its queue any more", () => {
  it("a map's results are collected by whoever lives", async () => {
    const work = { type: "function", config: { function_name: "held" } };
    const map = { id: "m", type: "map", queue: "own", config: { items: [1, 2], do: work } };
    const only = await engine.worker({ registry: new FunctionRegistry(), queues: ["own"] });
    const runId = await client.submit({ workflow: { name: "own", nodes: [map] } as never });
    await waitFor(() => held.length === 2, { describe: "the elements are not executed" });
    await only.stop(1000);
    held.splice(0).forEach((go) => go());
    expect(await ended(runId)).toEqual({ status: "COMPLETED", output: ["held", "held"] });
  });

  const step = { id: "step", type: "function", config: { function_name: "absent" } };
  const output = { was: "${ctx.step.output}" };
  const body = { nodes: [step], output };
  const unfinished: [string, object, Json][] = [
    ["of a run", { nodes: [step], output }, { was: 1 }],
    [
      "of an element",
      { nodes: [{ id: "m", type: "map", config: { items: [0], do: body } }] },
      [{ was: 1 }],
    ],
  ];

  /** Takes the last step as a worker that dies before it has evaluated what comes of that. */
  async function dieAtTheEnd(runId: string, ir: Ir): Promise<void> {
    const row = await waitFor(() => readRun(engine.db, runId));
    const place = { partition: 0, namespace: "", priority: "normal" } as const;
    const profile = new Profiles().add(ir, row.irHash, place);
    const body = ir.nodes[0]?.body;
    const own = body ? new Profiles().add(body, bodyHash(row.irHash, 0), place, ir) : profile;
    const scripts = await client.operations.scripts(runId);
    const partition = { redis: engine.redis, scripts } as TestPartition;
    const player = new TokenPlayer(partition, own, runId);
    for (const key of queueKeysOf(own)) {
      await engine.redis.xgroup("CREATE", key, GROUP, "0", "MKSTREAM").catch(() => undefined);
    }
    const token = await waitFor(() => player.take("step").catch(() => undefined));
    const item = { ...player.item(token, ""), runId: token.unit };
    expect(await completeTokens(scripts, [item])).toEqual([COMPLETION.finish]);
    const { timers } = scripts.keys;
    const armed = await engine.redis.zrange(timers, 0, -1);
    const [due] = armed.filter((member) => member.startsWith(`finish|${token.unit}|`));
    await engine.redis.zadd(timers, "XX", 1, due as string);
  }

  it.each(unfinished)("the output %s is evaluated by whoever lives", async (_, more, is) => {
    const workflow = { name: "unfinished", ...more };
    const runId = await client.submit({ workflow: workflow as never });
    await dieAtTheEnd(runId, compile({ document: workflow }).ir as Ir);
    expect(await ended(runId)).toEqual({ status: "COMPLETED", output: is });
  });
});
