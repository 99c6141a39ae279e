/** B12: a node that is begun too late, or whose worker is gone, fails though nobody executes it. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { compile } from "../compiler/index.ts";
import { interpret } from "../compiler/reference/index.ts";
import { createClient, type Client, type Json } from "../sdk/index.ts";
import { defineFunction } from "../sdk/define-function.ts";
import { commonQueueKey, partitionKeys, timerMember } from "../sdk/internal.ts";
import { FunctionRegistry, type Worker } from "../worker/index.ts";
import { oracleHandlers } from "./generate/builtins.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { emptyRedis, waitFor } from "./support/index.ts";

let engine: Engine;
let client: Client;
const keys = partitionKeys(0);
const going: (() => void)[] = [];

beforeAll(async () => {
  engine = await startEngine();
  const hang = defineFunction(
    "hang",
    () => new Promise<string>((done) => going.push(() => done("late"))),
  );
  await engine.worker({ registry: new FunctionRegistry([hang]) });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterEach(() => going.splice(0).forEach((go) => go()));
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const call = (id: string, function_name: string, more: object = {}): object => ({
  id,
  type: "function",
  config: { function_name },
  ...more,
});
const echo = call("echo", "builtin.echo");
const gaveUp = call("gave_up", "builtin.echo");

async function outputOf(workflow: object, input: Json = {}): Promise<unknown> {
  const runId = await client.submit({ workflow: workflow as never, input });
  const row = await client.ended(runId, { timeoutMs: 20_000 });
  return row.status === "COMPLETED"
    ? JSON.parse(row.output ?? "null")
    : JSON.parse(row.error ?? "{}");
}

function timers(runId: string): Promise<string[]> {
  return engine.redis
    .zrange(keys.timers, 0, -1)
    .then((members) => members.filter((member) => member.includes(runId)));
}

describe("queue_timeout_ms", () => {
  const late = call("late", "nobody.has.this", { queue_timeout_ms: 100 });
  const timeout = { code: "TIMEOUT", node: "late" };

  it("B12: a token that no worker begins fails with TIMEOUT and takes the timeout edge", async () => {
    const edges = [
      { from: "echo", to: "late" },
      { from: "late", to: "gave_up", on: "timeout" },
    ];
    const nodes = [echo, late, gaveUp];
    const output = await outputOf({ name: "inner", nodes, edges });
    expect(output).toMatchObject({ error: timeout });
  });

  it("B12: an entry node too, without an edge for it its run fails", async () => {
    expect(await outputOf({ name: "entry", nodes: [late], edges: [] })).toMatchObject(timeout);
  });

  it("B12: an entry node of a map's body too: the element fails, as does each that follows", async () => {
    const config = { items: "${input.list}", do: { nodes: [late] }, max_concurrency: 1 };
    const each = { id: "each", type: "map", config: { ...config, tolerated_failures: 3 } };
    const workflow = { name: "elements", nodes: [each], output: "${ctx.each.errors}" };
    const errors = await outputOf(workflow, { list: [1, 2, 3] });
    expect(errors).toMatchObject([0, 1, 2].map((index) => ({ index, ...timeout })));
  });

  it("B12: a step behind the entry node of a map's body, and the edge for it, too", async () => {
    const edges = [
      { from: "echo", to: "late" },
      { from: "late", to: "gave_up", on: "timeout" },
    ];
    const body = { nodes: [echo, late, gaveUp], edges };
    const each = { id: "each", type: "map", config: { items: "${input.list}", do: body } };
    const output = await outputOf({ name: "inside", nodes: [each] }, { list: [1, 2] });
    expect(output).toMatchObject([{ error: timeout }, { error: timeout }]);
  });

  const inMap = (body: object): object => {
    const each = { id: "each", type: "map", config: { items: "${input.list}", do: body } };
    return { name: "waiting", nodes: [each] };
  };
  const until = { timeoutMs: 20_000 };
  const queued = async (runId: string, count: number): Promise<void> => {
    await waitFor(async () => (await timers(runId)).length === count, {
      describe: "they do not stand in their queue",
    });
  };

  it("B12: goes on after a pause: what stood in its queue, and what was held meanwhile", async () => {
    const slow = call("slow", "hang");
    const body = { nodes: [slow, late], edges: [{ from: "slow", to: "late" }] };
    const standing = await client.submit({
      workflow: inMap({ nodes: [late] }) as never,
      input: { list: [1, 2] },
    });
    await queued(standing, 2);
    await client.operations.pause(standing);
    const held = await client.submit({ workflow: inMap(body) as never, input: { list: [1, 2] } });
    await waitFor(() => going.length === 2, { describe: "the handlers are not called" });
    await client.operations.pause(held);
    going.splice(0).forEach((go) => go());
    await waitFor(async () => (await engine.redis.llen(keys.held(held))) === 2, {
      describe: "they are not held",
    });
    // Due after those of the paused: whoever fires it has passed them.
    expect(await outputOf({ name: "later", nodes: [late], edges: [] })).toMatchObject(timeout);
    for (const runId of [standing, held]) {
      await client.operations.resume(runId);
      expect(JSON.parse((await client.ended(runId, until)).error ?? "{}")).toMatchObject({
        code: "TIMEOUT",
      });
    }
  });

  it("B12: goes on after the loss of Redis, in elements of maps too", async () => {
    const longer = { ...late, queue_timeout_ms: 1500 };
    const runId = await client.submit({
      workflow: inMap({ nodes: [longer] }) as never,
      input: { list: [1, 2] },
    });
    await queued(runId, 2);
    await waitFor(async () => (await client.status(runId)).status === "RUNNING");
    await emptyRedis(engine.redis);
    expect(JSON.parse((await client.ended(runId, until)).error ?? "{}")).toMatchObject({
      code: "TIMEOUT",
    });
  });

  it("B12: goes on after a redrive into a pause: it counts from when the run goes on", async () => {
    const workflow = { name: "again", nodes: [late], edges: [] };
    const runId = await client.submit({ workflow: workflow as never });
    await client.ended(runId, until);
    await client.operations.pauseWorkflow({ name: "again" });
    await client.operations.redrive(runId, { by: "ann" });
    await waitFor(async () => (await engine.redis.llen(keys.held(runId))) === 1, {
      describe: "it is not held",
    });
    expect(await timers(runId)).toEqual([]);
    await client.operations.resumeWorkflow({ name: "again" });
    await waitFor(async () => (await client.status(runId)).status === "RUNNING", {
      describe: "it does not go on",
    });
    const row = await client.ended(runId, until);
    expect(row).toMatchObject({ status: "FAILED", attempt: 2 });
    expect(JSON.parse(row.error ?? "{}")).toMatchObject(timeout);
  });

  it("B12: a token that was begun in time is not failed by its queue's timer", async () => {
    const slow = call("slow", "hang", { queue_timeout_ms: 150 });
    const workflow = { name: "slow", nodes: [slow], edges: [] };
    const runId = await client.submit({ workflow: workflow as never });
    await waitFor(() => going.length === 1, { describe: "the handler is not called" });
    await waitFor(async () => (await timers(runId)).length === 0, { describe: "the timer stays" });
    const [go] = going.splice(0);
    go?.();
    expect((await client.ended(runId, { timeoutMs: 20_000 })).output).toBe('"late"');
  });
});

describe("queue_timeout_ms of a token that stands in its queue once more", () => {
  let only: Worker;
  const step = (id: string, more: object): object => call(id, "step", more);
  beforeEach(async () => {
    const fn = defineFunction(
      "step",
      () => new Promise<string>((done) => going.push(() => done("ok"))),
    );
    only = await engine.worker({ registry: new FunctionRegistry([fn]) });
  });
  afterEach(() => only.stop(1000));
  const timeout = { code: "TIMEOUT", node: "late" };
  const failed = async (runId: string): Promise<unknown> =>
    JSON.parse((await client.ended(runId, { timeoutMs: 20_000 })).error ?? "{}");
  const statusOf = async (runId: string): Promise<string | undefined> =>
    (await client.status(runId)).nodes["late"]?.status;
  /** A run that waits for its start: one before it has taken the only one. */
  const parked = async (workflow: never): Promise<string> => {
    const first = await client.submit({ workflow });
    await waitFor(() => going.length === 1, { describe: "the handler is not called" });
    going.splice(0).forEach((go) => go());
    await client.ended(first, { timeoutMs: 20_000 });
    const runId = await client.submit({ workflow });
    await waitFor(async () => (await statusOf(runId)) === "waiting");
    return runId;
  };

  it.each([false, true])(
    "B12: counts after its start was awaited, paused then: %s",
    async (held) => {
      const limit = { rate_limit: { key: held ? "a" : "b", limit: 1, per_ms: 1500 } };
      const late = step("late", { ...limit, queue_timeout_ms: 300 });
      const workflow = { name: "limited", nodes: [late], edges: [] } as never;
      const runId = await parked(workflow);
      if (held) {
        await client.operations.pause(runId);
      }
      await only.stop(1000);
      if (held) {
        await waitFor(async () => (await engine.redis.llen(keys.held(runId))) === 1);
        await client.operations.resume(runId);
      }
      expect(await failed(runId)).toMatchObject(timeout);
    },
  );

  it("B12: counts when Redis has lost it after its start was awaited", async () => {
    const limit = { rate_limit: { key: "c", limit: 1, per_ms: 1000 } };
    const late = step("late", { ...limit, queue_timeout_ms: 3000 });
    const workflow = { name: "lost", nodes: [late], edges: [] } as never;
    const runId = await parked(workflow);
    await only.stop(1000);
    await waitFor(async () => (await statusOf(runId)) === "ready");
    await emptyRedis(engine.redis);
    expect(await failed(runId)).toMatchObject(timeout);
  });

  it("B12: counts for a step that a chain leads to, also when its worker stops", async () => {
    const edges = [{ from: "first", to: "late" }];
    const nodes = [step("first", {}), step("late", { queue_timeout_ms: 300 })];
    const runId = await client.submit({ workflow: { name: "chain", nodes, edges } as never });
    await waitFor(() => going.length === 1, { describe: "the handler is not called" });
    going.splice(0).forEach((go) => go());
    // Its result is on its way, and not yet answered.
    await new Promise((turn) => setImmediate(turn));
    await only.stop(1000);
    expect(await failed(runId)).toMatchObject(timeout);
    expect(going).toEqual([]);
  });
});

describe("timeout_ms beside the worker", () => {
  const slow = call("slow", "hang", { timeout_ms: 60_000 });
  const workflow = {
    name: "slow",
    nodes: [slow, gaveUp],
    edges: [{ from: "slow", to: "gave_up", on: "timeout" }],
  };

  it("B12: while a node with a timeout is executed, a timer stands beside its worker", async () => {
    const runId = await client.submit({ workflow: workflow as never });
    await waitFor(() => going.length === 1, { describe: "the handler is not called" });
    const armed = await waitFor(async () => (await timers(runId))[0], {
      describe: "no timer is armed",
    });
    expect(armed.split("|").slice(0, 2)).toEqual(["dead", runId]);
    const [go] = going.splice(0);
    go?.();
    await client.ended(runId, { timeoutMs: 20_000 });
    await waitFor(async () => (await timers(runId)).length === 0, { describe: "the timer stays" });
  });

  it("B12: a worker that hangs past it loses the node; its late result changes nothing", async () => {
    const runId = await client.submit({ workflow: workflow as never });
    await waitFor(() => going.length === 1, { describe: "the handler is not called" });
    const at = { runId, epoch: 1, node: 0, scope: "", attempt: 1 };
    const queue = commonQueueKey(keys.queue("fn:hang", "normal"));
    // As if its time were over: the timer of the worker itself is far away.
    await engine.redis.zadd(keys.timers, 1, timerMember({ kind: "dead", ...at, queue }));
    const row = await client.ended(runId, { timeoutMs: 20_000 });
    expect(JSON.parse(row.output ?? "null")).toMatchObject({
      error: { code: "TIMEOUT", node: "slow" },
    });
    going.splice(0).forEach((go) => go());
    const { nodes } = await client.status(runId);
    expect(nodes["slow"]?.status).toBe("failed");
  });
});

describe("a failure by timeout", () => {
  const wait = { type: "wait", config: { signal: "go" }, timeout_ms: 50 };
  const thrown = { function_name: "builtin.fail", params: { code: "TIMEOUT" } };
  const limited = {
    "of an element": { id: "n", type: "map", config: { items: [1], do: wait } },
    "of a map's own": {
      ...{ id: "n", type: "map", config: { items: [1], do: { ...wait, timeout_ms: 60_000 } } },
      timeout_ms: 50,
    },
    "that a handler throws": { id: "n", type: "function", config: thrown },
    "that somebody gives by hand": { id: "n", ...wait, timeout_ms: 60_000 },
  };

  it.each(Object.entries(limited))(
    "takes the edge that the oracle takes: %s",
    async (name, node) => {
      const edges = [
        { from: "n", to: "gave_up", on: "timeout" },
        { from: "n", to: "echo", on: "error" },
      ];
      const workflow = { name: "edges", nodes: [node, gaveUp, echo], edges } as never;
      const runId = await client.submit({ workflow });
      const error = { code: "TIMEOUT", message: "too long" };
      if (name === "that somebody gives by hand") {
        await waitFor(async () => (await client.status(runId)).nodes["n"]?.status === "waiting");
        await client.operations.intervene(runId, "n", { action: "fail", error, by: "ann" });
      }
      await client.ended(runId, { timeoutMs: 20_000 });
      const { ir } = compile({ document: workflow });
      const oracle = interpret(ir as never, {}, { handlers: oracleHandlers(), runId });
      const { status, nodes } = await client.status(runId);
      const taken = (of: { [id: string]: { status: string } }): unknown =>
        ["gave_up", "echo"].map((id) => of[id]?.status);
      expect(taken(nodes)).toEqual(["completed", "skipped"]);
      expect(taken(oracle.nodes)).toEqual(["completed", "skipped"]);
      expect(status).toBe(oracle.status);
    },
  );
});
