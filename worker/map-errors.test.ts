/** What a map leaves of its failed elements is kept as an output is: bounded, by reference if large. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../sdk/client.ts";
import { partitionKeys } from "../sdk/internal.ts";
import { readJournal } from "../sdk/postgres/index.ts";
import { startEngine, type Engine } from "../test/harness/engine.ts";
import { emptyRedis, waitFor } from "../test/support/index.ts";
import { FunctionRegistry } from "./index.ts";

const BYTES_MAX = 100_000;
const COUNT = 30;
const MESSAGE = "x".repeat(1500);
const keys = partitionKeys(0);
const undone: unknown[] = [];
let isHealed = false;
let engine: Engine;
let client: Client;

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  registry.register("fail", () => {
    throw new Error(MESSAGE);
  });
  registry.register("perhaps", () => {
    if (!isHealed) {
      throw new Error("no luck");
    }
    return null;
  });
  registry.register("undo", ({ params }) => {
    undone.push(params);
    return null;
  });
  await engine.worker({ registry, outputBytesMax: BYTES_MAX });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const call = (id: string, function_name: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name } },
  ...more,
});
const map = {
  ...{ id: "m", type: "map", sets_status: "mapped" },
  config: { items: "${input}", tolerated_failures: 1000, do: call("x", "fail") },
};
const seen = { count: "${size(ctx.m.errors)}", last: "${ctx.m.errors[29].message}" };
const SEEN = { count: COUNT, last: MESSAGE };

/** The map's elements fail; when a signal has come, another node sees how, and one may fail after it. */
const nodesWith = (more: object): object[] => [
  map,
  { id: "pause", type: "wait", config: { signal: "go" } },
  call("use", "builtin.echo", {
    ...{ config: { function_name: "builtin.echo", params: seen } },
    ...more,
  }),
  call("risky", "perhaps"),
];
const forgiving = nodesWith({});
const workflow = {
  name: "errors",
  nodes: nodesWith({ compensate: { function_name: "undo", params: seen } }),
  edges: [
    { from: "m", to: "pause" },
    { from: "pause", to: "use" },
    { from: "use", to: "risky" },
  ],
  output: seen,
};

async function submitted(more: object = {}, count = COUNT): Promise<string> {
  const input = Array.from({ length: count }, (_, i) => i);
  return client.submit({ workflow: { ...workflow, ...more } as never, input });
}

async function waiting(id: string): Promise<void> {
  await waitFor(async () => (await client.status(id)).nodes["pause"]?.status === "waiting", {
    describe: "it does not wait",
  });
}

describe("the errors of a map", () => {
  it("stand beside the run when they are large, whole for every reader, also after a loss", async () => {
    isHealed = true;
    const id = await submitted();
    await waiting(id);
    expect((await engine.redis.hget(keys.run(id), "e0"))?.length).toBeLessThan(200);
    const bytes = (await readJournal(engine.db, id))
      .filter(({ transition }) => transition.e === "node.completed")
      .map(({ transition }) => JSON.stringify(transition).length);
    expect(Math.max(...bytes)).toBeLessThan(1000);
    await emptyRedis(engine.redis);
    await waitFor(async () => (await engine.redis.hget(keys.run(id), "e")) === "2", {
      describe: "it is not rebuilt",
    });
    await client.signal(id, "go");
    const row = await client.ended(id, { timeoutMs: 20_000 });
    expect(row).toMatchObject({ status: "COMPLETED", businessStatus: "mapped" });
    expect(JSON.parse(row.output ?? "null")).toEqual(SEEN);
  });

  it("are what a redrive and a compensation see", async () => {
    isHealed = false;
    const [undoes, ...others] = [await submitted(), await submitted({ nodes: forgiving })];
    for (const id of [undoes, ...others]) {
      await waiting(id);
      await client.signal(id, "go");
      expect((await client.ended(id, { timeoutMs: 20_000 })).status).toBe("FAILED");
    }
    await waitFor(() => Promise.resolve(undone.length > 0), { describe: "nothing is undone" });
    expect(undone).toEqual([SEEN]);
    isHealed = true;
    for (const id of others) {
      await client.operations.redrive(id, { by: "ann", from: ["use"] });
      await waitFor(async () => (await client.status(id)).status === "COMPLETED", {
        describe: "the redriven run does not complete",
      });
      expect((await client.status(id)).output).toEqual(SEEN);
    }
  });

  it("fail the map with TOO_LARGE when they are more than an output may be", async () => {
    const id = await submitted({}, 100);
    const row = await client.ended(id, { timeoutMs: 20_000 });
    expect(row.status).toBe("FAILED");
    expect(JSON.parse(row.error ?? "{}")).toMatchObject({
      ...{ code: "TOO_LARGE", node: "m" },
      message: expect.stringMatching(
        /^the map's list of failed elements has more than the \d+ bytes that are kept/,
      ),
    });
  });
});
