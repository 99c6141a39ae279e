/** Compensation through a whole engine. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/client.ts";
import { cancelRun, defineFunction, globalKeys, ScriptRunner } from "../../sdk/internal.ts";
import { compensationOf, insertRuns, readRun, type RunRow } from "../../sdk/postgres/index.ts";
import { compensationId } from "../../supervisor/compensation.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
/** What was undone, in order, by run that was undone. */
const undone: unknown[] = [];
let failuresLeft = 0;
const undo = defineFunction("undo", ({ params, input }) => {
  if (failuresLeft > 0) {
    failuresLeft -= 1;
    throw new Error("not now");
  }
  undone.push(Object.keys(params).length === 0 ? { input } : params);
  return null;
});
/** Charges what it is told to, if it is a small amount. */
const charge = defineFunction("charge", ({ input }) => {
  const { amount } = input as { amount: number };
  if (amount > 50) {
    throw new Error("too much");
  }
  return amount;
});
beforeAll(async () => {
  engine = await startEngine();
  await engine.worker({ registry: new FunctionRegistry([undo, charge]) });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const step = (id: string, n: number, params?: object): object => ({
  ...{ id, type: "function", config: { function_name: "builtin.echo", params: { n } } },
  compensate: { function_name: "undo", ...(params === undefined ? {} : { params }) },
});
const boom = { id: "boom", type: "function", config: { function_name: "builtin.fail" } };

async function undoing(runId: string): Promise<RunRow> {
  const found = await waitFor(async () => (await compensationOf(engine.db, runId)) ?? undefined);
  return engine.ended(found.id);
}

describe("compensation", () => {
  it("undoes what completed, last first, with parameters as they stood", async () => {
    undone.length = 0;
    const workflow = {
      name: "trip",
      nodes: [
        step("flight", 1, { was: "${output.n}", who: "${input.who}" }),
        step("hotel", 2, {
          was: "${output.n}",
          before: "${ctx.flight.output.n}",
          got: "${data.n}",
        }),
        step("never", 3),
        boom,
      ],
      edges: [
        { from: "flight", to: "hotel" },
        { from: "hotel", to: "boom" },
        { from: "boom", to: "never" },
      ],
    };
    const runId = await engine.submit({ workflow, input: { who: "ann" } });
    expect((await engine.ended(runId)).status).toBe("FAILED");
    const row = await undoing(runId);
    expect([row.id, row.status, row.compensates]).toEqual([
      compensationId(runId),
      "COMPLETED",
      runId,
    ]);
    expect(undone).toEqual([
      { was: 2, before: 1, got: 1 },
      { was: 1, who: "ann" },
    ]);
  });

  it("counts every round of a loop, and without params the output is the input", async () => {
    undone.length = 0;
    const workflow = {
      name: "rounds",
      nodes: [
        {
          ...{ id: "c", type: "function", config: { function_name: "builtin.counter" } },
          compensate: { function_name: "undo" },
        },
        {
          ...{ id: "again", type: "loop" },
          config: { loop_back_to: "c", condition: "output.count < 3", max_iterations: 5 },
        },
        boom,
      ],
      edges: [
        { from: "c", to: "again" },
        { from: "again", to: "boom" },
      ],
    };
    const runId = await engine.submit({ workflow, input: {} });
    await engine.ended(runId);
    expect((await undoing(runId)).status).toBe("COMPLETED");
    expect(undone).toEqual([3, 2, 1].map((count) => ({ input: { count } })));
  });

  it("counts every element of a map, with its item and its place", async () => {
    undone.length = 0;
    const params = {
      item: "${item}",
      index: "${index}",
      run: "${input.k}",
      before: "${ctx.a.output.n}",
    };
    const each = {
      ...{ id: "m", type: "map" },
      config: { items: "['x', 'y']", max_concurrency: 1, do: step("e", 5, params) },
    };
    const first = { id: "a", type: "function", config: { function_name: "builtin.echo" } };
    const workflow = {
      name: "elements",
      nodes: [first, each, boom],
      edges: [
        { from: "a", to: "m" },
        { from: "m", to: "boom" },
      ],
    };
    const runId = await engine.submit({ workflow, input: { k: 7, n: 1 } });
    await engine.ended(runId);
    expect((await undoing(runId)).status).toBe("COMPLETED");
    expect(undone).toEqual([
      { item: "y", index: 1, run: 7, before: 1 },
      { item: "x", index: 0, run: 7, before: 1 },
    ]);
  });

  it("follows a cancel too, and a failure under continue; a handled failure undoes nothing", async () => {
    undone.length = 0;
    const gate = { id: "gate", type: "wait", config: { signal: "go" } };
    const waits = {
      name: "waits",
      nodes: [step("a", 1, { a: true }), gate],
      edges: [{ from: "a", to: "gate" }],
    };
    const cancelled = await engine.submit({ workflow: waits });
    const deployment = (await engine.redis.hget(globalKeys.deployment, "id")) as string;
    const scripts = new ScriptRunner({ redis: engine.redis, deployment, partition: 0 });
    await waitFor(async () => {
      const record = await engine.redis.hget(scripts.keys.run(cancelled), "n1");
      return record?.startsWith("w") === true;
    });
    await cancelRun(scripts, cancelled, "enough");
    expect((await undoing(cancelled)).status).toBe("COMPLETED");
    expect(undone).toEqual([{ a: true }]);

    const goesOn = {
      ...{ name: "goes_on", settings: { failure: "continue" } },
      ...{ nodes: [step("b", 1, { b: true }), boom], edges: [] },
    };
    const failed = await engine.submit({ workflow: goesOn });
    expect((await engine.ended(failed)).status).toBe("FAILED");
    expect((await undoing(failed)).status).toBe("COMPLETED");
    expect(undone).toEqual([{ a: true }, { b: true }]);

    const caught = { id: "caught", type: "parallel" };
    const handled = {
      name: "handled",
      nodes: [step("c", 1, { c: true }), boom, caught],
      edges: [
        { from: "c", to: "boom" },
        { from: "boom", to: "caught", on: "error" },
      ],
    };
    const fine = await engine.submit({ workflow: handled });
    expect((await engine.ended(fine)).status).toBe("COMPLETED");
    expect(await compensationOf(engine.db, fine)).toBe(null);
  });

  it("is tried again, and a parameter that cannot be had fails its step by name", async () => {
    undone.length = 0;
    failuresLeft = 1;
    const once = { name: "once", nodes: [step("a", 1), boom], edges: [{ from: "a", to: "boom" }] };
    const runId = await engine.submit({ workflow: once });
    const row = await undoing(runId);
    expect(row.status).toBe("COMPLETED");
    expect(undone.length).toBe(1);

    const wrong = {
      name: "wrong",
      nodes: [step("a", 1, { x: "${output.missing}" }), boom],
      edges: [{ from: "a", to: "boom" }],
    };
    const bad = await undoing(await engine.submit({ workflow: wrong }));
    expect(bad.status).toBe("FAILED");
    expect(bad.error).toContain('compensate.params of node \\"a\\"');
  });

  it("undoes nodes and workflows whose names are as long as names may be", async () => {
    undone.length = 0;
    const id = "n".repeat(200);
    const workflow = {
      ...{ name: "w".repeat(150), nodes: [step(id, 1, { long: true }), boom] },
      edges: [{ from: id, to: "boom" }],
    };
    const runId = await engine.submit({ workflow });
    expect((await undoing(runId)).status).toBe("COMPLETED");
    expect(undone).toEqual([{ long: true }]);
  });

  it("gives large values to each step by themselves, in the same order", async () => {
    undone.length = 0;
    const items = Array.from(
      { length: 40 },
      (_, i) => `${i}${"x".repeat(i === 7 ? 80_000 : 3000)}`,
    );
    const each = {
      ...{ id: "m", type: "map" },
      config: { items: "input.items", max_concurrency: 1, do: step("e", 5, { v: "${item}" }) },
    };
    const workflow = {
      ...{ name: "large", nodes: [each, boom], edges: [{ from: "m", to: "boom" }] },
    };
    const runId = await engine.submit({ workflow, input: { items } });
    const row = await undoing(runId);
    expect(row.status).toBe("COMPLETED");
    expect(undone).toEqual(items.toReversed().map((v) => ({ v })));
    // What a step names is a part of it, which none reads but those that are given something in it.
    const { nodes } = await client.status(row.id);
    const parts = Object.keys(nodes).filter((id) => id.startsWith("given_"));
    expect(parts.length).toBeGreaterThan(2);
    expect(row.input).not.toContain("xxx");
  });

  it("is started once, whoever repeats the step", async () => {
    const workflow = {
      name: "twice",
      nodes: [step("a", 1), boom],
      edges: [{ from: "a", to: "boom" }],
    };
    const runId = await engine.submit({ workflow });
    const row = await undoing(runId);
    expect(await insertRuns(engine.db, [{ ...row, createdAtMs: 1 }])).toEqual(new Set());
    const other = { ...row, id: `${runId}~other`, createdAtMs: 1 };
    expect(await insertRuns(engine.db, [other])).toEqual(new Set());
    expect(await readRun(engine.db, other.id)).toBe(null);
  });

  it("is started by the next supervisor when the first died right after the commit", async () => {
    undone.length = 0;
    const workflow = {
      ...{ name: "orphaned", nodes: [step("a", 1, { once: true }), boom] },
      edges: [{ from: "a", to: "boom" }],
    };
    const runId = await engine.submit({ workflow });
    const row = await undoing(runId);
    // As the first supervisor left it: the row is committed, Redis knows nothing of it.
    const deployment = (await engine.redis.hget(globalKeys.deployment, "id")) as string;
    const { keys } = new ScriptRunner({ redis: engine.redis, deployment, partition: 0 });
    await waitFor(async () => (await engine.redis.exists(keys.run(row.id))) === 0);
    const lost = { ...row, id: `${runId}~lost`, compensates: null, createdAtMs: 1 };
    await insertRuns(engine.db, [lost]);
    expect((await engine.ended(lost.id)).status).toBe("COMPLETED");
    // Found again by the sweep of every supervisor, it is started once all the same.
    expect(undone).toEqual([{ once: true }, { once: true }]);
  });
});

describe("the parameters of a compensation", () => {
  const charged = (params: object, more: object = {}): object => ({
    ...{ id: "pay", type: "function", config: { function_name: "charge" }, ...more },
    compensate: { function_name: "undo", params },
  });
  const paid = (pay: object): object => ({
    ...{ name: "paid", nodes: [pay, boom], edges: [{ from: "pay", to: "boom" }] },
  });
  const BY = { by: "ann" };

  it("see the input that the node was tried again on by hand", async () => {
    undone.length = 0;
    const retry = { max_attempts: 2, backoff_ms: 600_000 };
    const workflow = paid(charged({ back: "${data.amount}", was: "${output}" }, { retry }));
    const id = await engine.submit({ workflow, input: { amount: 100 } });
    await waitFor(async () => (await client.status(id)).nodes["pay"]?.status === "retrying");
    const order = { action: "retry", input: { amount: 7 }, ...BY } as const;
    await client.operations.intervene(id, "pay", order);
    expect((await undoing(id)).status).toBe("COMPLETED");
    expect(undone).toEqual([{ back: 7, was: 7 }]);
  });

  it("see the run as redrives have left it: its attempt, inputs and outputs given by hand", async () => {
    undone.length = 0;
    const params = {
      ...{ back: "${data.amount}", attempt: "${run.attempt}", who: "${input.who}" },
      ...{ given: "${ctx.given.output.amount}", kept: "${ctx.kept.output.n}" },
    };
    const kept = { id: "kept", type: "transform", config: { expression: "{'n': 5}" } };
    const workflow = {
      name: "redriven",
      nodes: [kept, { ...boom, id: "given" }, charged(params), boom],
      edges: [
        { from: "kept", to: "given" },
        { from: "given", to: "pay" },
        { from: "pay", to: "boom" },
      ],
    };
    const id = await engine.submit({ workflow, input: { who: "ann" } });
    const failed = (attempt: number): Promise<RunRow> =>
      waitFor(async () => {
        const row = await readRun(engine.db, id);
        return row?.status === "FAILED" && row.attempt === attempt ? row : undefined;
      });
    await failed(1);
    await client.operations.redrive(id, { ...BY, set: { given: { amount: 100 } } });
    await failed(2); // it was too much
    const inputs = { pay: { amount: 7 } };
    await client.operations.redrive(id, { ...BY, inputs, input: { who: "bob" } });
    expect((await undoing(id)).status).toBe("COMPLETED");
    expect(undone).toEqual([{ back: 7, attempt: 3, who: "bob", given: 100, kept: 5 }]);
  });

  it("see the whole input of a join that is wider than a node can be", async () => {
    undone.length = 0;
    const wide = Array.from({ length: 600 }, (_, n) => `n${n}`);
    const pay = step("pay", 1, { first: "${data.n0.n}", last: "${data.n599.n}" });
    const workflow = {
      name: "wide",
      nodes: [
        ...wide.map((id, n) => ({ id, type: "transform", config: { expression: `{'n': ${n}}` } })),
        ...[pay, boom],
      ],
      edges: [...wide.map((from) => ({ from, to: "pay" })), { from: "pay", to: "boom" }],
    };
    const id = await engine.submit({ workflow });
    expect((await undoing(id)).status).toBe("COMPLETED");
    expect(undone).toEqual([{ first: 0, last: 599 }]);
  });

  it("see the failures that a map has tolerated", async () => {
    undone.length = 0;
    const body = { type: "function", config: { function_name: "charge" } };
    const items = [{ amount: 1 }, { amount: 99 }];
    const map = { id: "m", type: "map", config: { items, tolerated_failures: 1, do: body } };
    const pay = step("pay", 1, { lost: "${ctx.m.errors.map(e, e.index)}", got: "${ctx.m.output}" });
    const workflow = {
      ...{ name: "tolerant", nodes: [map, pay, boom] },
      edges: [
        { from: "m", to: "pay" },
        { from: "pay", to: "boom" },
      ],
    };
    const id = await engine.submit({ workflow });
    expect((await undoing(id)).status).toBe("COMPLETED");
    expect(undone).toEqual([{ lost: [1], got: [1, null] }]);
  });
});
