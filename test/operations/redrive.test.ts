import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/client.ts";
import { partitionKeys } from "../../sdk/internal.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { emptyRedis, waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
const executed: { [run: string]: string[] } = {};
/** Runs whose flaky step works by now. */
const healed = new Set<string>();
const hanging: (() => void)[] = [];

const step = (id: string, function_name = "step", more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name } },
  ...more,
});
const edges = (...pairs: string[]): object[] =>
  pairs.map((pair) => ({ from: pair.split(">")[0], to: pair.split(">")[1] }));

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  const told = (runId: string, node: string): void => void (executed[runId] ??= []).push(node);
  registry.register("step", ({ runId, node, input }) => {
    told(runId, node);
    return { node, input } as never;
  });
  registry.register("flaky", ({ runId, node, input }) => {
    told(runId, node);
    if (!healed.has(runId)) {
      throw new Error("no luck");
    }
    return { node, input } as never;
  });
  registry.register("hang", async ({ runId, node }) => {
    told(runId, node);
    await new Promise<void>((resolve) => hanging.push(resolve));
    return node;
  });
  await engine.worker({ registry });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  hanging.forEach((end) => end());
  await client.close();
  await engine.stop();
});

const WISH = { by: "ann", why: "the service is back" };
/** a, then b and flaky x side by side, then their join z. */
const diamond = (more: object = {}): object => ({
  ...{ name: "redriven", ...more },
  nodes: [step("a"), step("b"), step("x", "flaky"), step("z"), step("y")],
  edges: edges("a>b", "a>x", "b>z", "x>z", "x>y"),
});

async function failed(workflow: object): Promise<string> {
  const id = await client.submit({ workflow: workflow as never });
  expect(await engine.ended(id)).toMatchObject({ status: "FAILED" });
  return id;
}

const again = async (id: string): Promise<string[]> => {
  await engine.ended(id);
  return executed[id] ?? [];
};

describe("B8: a redrive", () => {
  it("keeps results, undoes the failure and what was skipped because of it", async () => {
    const id = await failed(diamond({ settings: { failure: "continue" } }));
    expect((await client.status(id)).nodes).toMatchObject({
      ...{ b: { status: "completed" }, z: { status: "skipped" }, y: { status: "skipped" } },
    });
    const wish = {
      starts: ["x"],
      again: [],
      kept: ["a", "b"],
      effects: ["x"],
      uncertain: [],
      given: [],
      attempt: 2,
    };
    expect(await client.operations.previewRedrive(id, WISH)).toEqual(wish);
    const before = [...(executed[id] ?? [])];
    healed.add(id);
    expect(await client.operations.redrive(id, WISH)).toEqual(wish);
    const after = (await again(id)).slice(before.length);
    expect(after[0]).toBe("x");
    expect([...after].sort()).toEqual(["x", "y", "z"]);
    const row = await engine.ended(id);
    expect(row).toMatchObject({ status: "COMPLETED", attempt: 2, error: null });
    expect(await client.operations.audit({ runId: id, limit: 9 })).toMatchObject([
      { who: "ann", action: "run.redrive", reason: "the service is back" },
    ]);
    const [letter] = await client.deadLetters({ state: "retried", runId: id, limit: 9 });
    expect(letter).toMatchObject({ node: "x", state: "retried" });
  });

  it("finalises each attempt once", async () => {
    const id = await failed(diamond());
    await client.operations.redrive(id, WISH);
    await again(id);
    await client.operations.redrive(id, WISH);
    healed.add(id);
    await client.operations.redrive(id, WISH).catch(() => undefined);
    await again(id);
    const rows = await engine.db.query<{ attempt: number; status: string }>(
      { name: "t", text: "SELECT attempt, status FROM run_attempts WHERE run_id = $1 ORDER BY 1" },
      [id],
    );
    const attempts = rows.map((row) => row.attempt);
    expect(attempts).toEqual(attempts.map((_, i) => i + 1));
    expect(rows.every((row) => row.status === "FAILED")).toBe(true);
    expect((await engine.ended(id)).attempt).toBe(attempts.length + 1);
  });

  it("by two at once is one redrive", async () => {
    const id = await failed(diamond());
    healed.add(id);
    const both = [client.operations.redrive(id, WISH), client.operations.redrive(id, WISH)];
    const answers = await Promise.allSettled(both);
    expect(answers.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED", attempt: 2 });
    expect(executed[id]?.filter((node) => node === "x")).toHaveLength(2);
  });

  it("runs named nodes and everything behind them again, takes outputs and inputs by hand", async () => {
    const id = await failed(diamond({ settings: { failure: "continue" } }));
    const preview = await client.operations.previewRedrive(id, { ...WISH, from: ["a"] });
    expect(preview).toMatchObject({ starts: ["a"], again: ["b", "x"], kept: [] });
    await expect(client.operations.redrive(id, { ...WISH, from: ["z"] })).rejects.toMatchObject({
      code: "GV_BAD_INPUT",
    });
    const misspelt = { ...WISH, set: { flakey: 1 } };
    const named = await failed({ name: "named", nodes: [step("flaky", "flaky")], edges: [] });
    await expect(client.operations.previewRedrive(named, misspelt)).rejects.toMatchObject({
      code: "GV_BAD_INPUT",
      message: 'the workflow has no node "flakey"; did you mean flaky?',
    });
    const wish = { ...WISH, set: { x: { by: "hand" } }, inputs: { b: "edited" } };
    expect(await client.operations.redrive(id, wish)).toMatchObject({
      ...{ starts: ["b"], effects: ["b"], given: ["x"] },
    });
    await again(id);
    const { nodes } = await client.status(id);
    expect(nodes).toMatchObject({
      x: { status: "completed", output: { by: "hand" } },
      b: { output: { node: "b", input: "edited" } },
      z: { output: { input: { x: { by: "hand" } } } },
    });
    expect(executed[id]?.filter((node) => node === "x")).toHaveLength(1);
  });

  it("takes by hand only what fits a node's schemas", async () => {
    const schemas = {
      input_schema: { not: { type: "number" } },
      output_schema: { type: "string" },
    };
    const wished = async (more: object): Promise<unknown> => {
      const nodes = [{ ...step("only", "flaky"), ...schemas }];
      const id = await failed({ name: "fits", nodes, edges: [] });
      return client.operations.previewRedrive(id, { ...WISH, ...more });
    };
    for (const wrong of [{ set: { only: 7 } }, { inputs: { only: 7 } }]) {
      await expect(wished(wrong)).rejects.toMatchObject({
        code: "GV_BAD_INPUT",
        message: expect.stringContaining('given for node "only" does not fit its') as string,
      });
    }
    expect(await wished({ set: { only: "right" } })).toMatchObject({ given: ["only"] });
  });

  it("takes as the run's input only what its workflow takes", async () => {
    const input_schema = { type: "object", required: ["n"] };
    const nodes = [step("x", "flaky")];
    const workflow = { name: "schema", input_schema, nodes, edges: [] } as never;
    const refused = { code: "GV_BAD_INPUT", message: expect.stringContaining("input_schema") };
    const submitted = client.submit({ workflow, input: 5 });
    await expect(submitted).rejects.toMatchObject({ code: "GV_BAD_INPUT" });
    const id = await client.submit({ workflow, input: { n: 1 } });
    expect((await engine.ended(id)).status).toBe("FAILED");
    const { operations } = client;
    for (const ask of [operations.previewRedrive, operations.redrive]) {
      await expect(ask.call(operations, id, { ...WISH, input: 5 })).rejects.toMatchObject(refused);
    }
    healed.add(id);
    await operations.redrive(id, { ...WISH, input: { n: 2 } });
    expect((await engine.ended(id)).input).toBe('{"n":2}');
  });

  it("gives the run another input", async () => {
    const id = await failed({ name: "input", nodes: [step("x", "flaky")] });
    const large = { ...WISH, input: "x".repeat(2 ** 20) };
    await expect(client.operations.redrive(id, large)).rejects.toMatchObject({
      ...{ code: "GV_BAD_INPUT", message: expect.stringContaining("1048576 bytes") as string },
    });
    healed.add(id);
    await client.operations.redrive(id, { ...WISH, input: { n: 2 } });
    const row = await engine.ended(id);
    expect(JSON.parse(row.output ?? "")).toEqual({ node: "x", input: { n: 2 } });
    expect(row.input).toBe('{"n":2}');
  });

  it("is refused for runs that have not failed", async () => {
    const id = await client.submit({ workflow: { name: "ok", nodes: [step("a")] } as never });
    await engine.ended(id);
    await expect(client.operations.redrive(id, WISH)).rejects.toMatchObject({
      ...{ code: "GV_RUN_STATUS_REFUSED", details: { status: "COMPLETED" } },
    });
    await expect(client.operations.redrive("nobody", WISH)).rejects.toMatchObject({
      code: "GV_RUN_NOT_FOUND",
    });
  });

  it("does not wait for a run that its node started without waiting for it", async () => {
    const waits = { id: "w", type: "wait", config: { signal: "go" } };
    await client.submit({ workflow: { name: "alone", nodes: [waits] } as never });
    const config = { workflow: "alone", wait: false };
    const starts = { id: "starts", type: "subworkflow", config };
    const nodes = [starts, step("x", "flaky")];
    const workflow = { name: "leaves", nodes, edges: edges("starts>x") };
    const id = await failed(workflow);
    healed.add(id);
    await client.operations.redrive(id, WISH);
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("starts what was open when the run failed again; late results of before are refused", async () => {
    const id = await client.submit({
      workflow: {
        ...{ name: "open", edges: edges("s>h", "s>x", "h>z") },
        nodes: [step("s"), step("h", "hang"), step("x", "flaky"), step("z")],
      } as never,
    });
    expect(await engine.ended(id)).toMatchObject({ status: "FAILED" });
    healed.add(id);
    // h was executing: nobody knows what it has done, and it will do it again.
    const told = { effects: ["x"], uncertain: ["h"] };
    expect(await client.operations.previewRedrive(id, WISH)).toMatchObject(told);
    const given = { ...WISH, from: ["s"] };
    expect(await client.operations.previewRedrive(id, given)).toMatchObject({
      ...{ starts: ["s"], effects: ["s", "x"], uncertain: ["h"] },
    });
    const preview = await client.operations.redrive(id, WISH);
    expect(preview).toMatchObject(told);
    expect([...preview.starts].sort()).toEqual(["h", "x"]);
    await waitFor(() => hanging.length >= 2, { describe: "h did not run again" });
    hanging.splice(0).forEach((end) => end());
    await again(id);
    expect((await client.status(id)).nodes["z"]).toMatchObject({ output: { input: "h" } });
    expect(executed[id]?.filter((node) => node === "z")).toHaveLength(1);
  });

  it("names a map whose elements were executing, none of which had ended", async () => {
    const body = { type: "function", config: { function_name: "hang" } };
    const id = await client.submit({
      workflow: {
        ...{ name: "executing", edges: edges("s>m", "d>x") },
        nodes: [
          step("s"),
          { id: "m", type: "map", config: { items: [1], do: body } },
          { id: "d", type: "wait", config: { signal: "fail" } },
          step("x", "flaky"),
        ],
      } as never,
    });
    await waitFor(() => hanging.length > 0, { describe: "no element of m is executed" });
    await client.signal(id, "fail");
    expect(await engine.ended(id)).toMatchObject({ status: "FAILED" });
    expect(await client.operations.previewRedrive(id, WISH)).toMatchObject({
      ...{ starts: ["m", "x"], effects: ["x"], uncertain: ["m"] },
    });
    hanging.splice(0).forEach((end) => end());
  });

  it("runs the elements of a map that was not done again, and keeps one that was", async () => {
    const map = (id: string, function_name: string): object => ({
      ...{ id, type: "map" },
      config: { items: [1, 2], do: { type: "function", config: { function_name } } },
    });
    const id = await failed({
      ...{ name: "maps", edges: edges("m>n", "n>z") },
      nodes: [map("m", "step"), map("n", "flaky"), step("z")],
    });
    const preview = await client.operations.previewRedrive(id, WISH);
    expect(preview).toMatchObject({ starts: ["n"], again: [], kept: ["m"], effects: ["n"] });
    healed.add(id);
    const before = [...(executed[id] ?? [])];
    await client.operations.redrive(id, WISH);
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED", attempt: 2 });
    expect((executed[id] ?? []).slice(before.length)).toHaveLength(3);
  });

  it("of a dead letter in a map runs that map again, and settles its letter with the map's", async () => {
    const each = { type: "function", config: { function_name: "flaky" } };
    const maps = { type: "map", config: { items: [1], do: each } };
    const id = await failed({
      ...{ name: "letters-in-maps", edges: edges("a>m") },
      nodes: [step("a"), { id: "m", type: "map", config: { items: [7, 8], do: maps } }],
    });
    const letters = await client.deadLetters({ runId: id, limit: 9 });
    const inMap = letters.find(({ scope }) => scope?.includes("#"));
    expect(letters.map(({ node }) => node)).toContain("m");
    const [letter] = inMap === undefined ? [] : [inMap.id];
    const edited = client.letters.retry(letter ?? "", WISH, { input: 1 });
    await expect(edited).rejects.toThrow(/whose elements run again together/);
    healed.add(id);
    const settled = await client.letters.retryAll({ runId: id, limit: 9 }, WISH);
    expect(settled.map(({ outcome }) => outcome)).toEqual(
      letters.map(() => "run again in attempt 2 of its run"),
    );
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED", attempt: 2 });
    const after = await client.deadLetters({ runId: id, limit: 9 });
    expect(after.map(({ state }) => state)).toEqual(letters.map(() => "retried"));
  });

  it("is another attempt of the run for its expressions, and a rebuild is none", async () => {
    const echo = (params: object): object => ({
      ...{ type: "function", config: { function_name: "builtin.echo", params } },
    });
    const id = await client.submit({
      workflow: {
        name: "attempts",
        nodes: [
          { id: "wait", type: "wait", config: { signal: "go" } },
          step("x", "flaky"),
          { id: "m", type: "map", config: { items: [1], do: echo({ n: "${run.attempt}" }) } },
          { id: "last", ...echo({ n: "${run.attempt}", each: "${data}" }) },
          { id: "whole", ...echo({ run: "${run}" }) },
          { id: "key", ...echo({ n: "${run['att' + 'empt']}" }) },
          {
            id: "outs",
            type: "map",
            config: {
              items: [1],
              do: { nodes: [{ id: "e", ...echo({}) }], output: { run: "${run}" } },
            },
          },
          {
            id: "all",
            type: "transform",
            config: {
              expression: "[ctx.whole.output.run.attempt, ctx.key.output.n, data[0].run.attempt]",
            },
          },
        ],
        edges: edges("wait>x", "x>m", "m>last", "last>whole", "whole>key", "key>outs", "outs>all"),
        output: { run: "${run.attempt}", last: "${ctx.last.output}", all: "${ctx.all.output}" },
      } as never,
    });
    const waits = async (): Promise<boolean> =>
      (await client.status(id)).nodes["wait"]?.status === "waiting";
    await waitFor(waits);
    await client.deployment();
    await emptyRedis(engine.redis);
    await client.signal(id, "go", 1);
    expect((await engine.ended(id)).status).toBe("FAILED");
    healed.add(id);
    await client.operations.redrive(id, WISH);
    const { status, output, epoch } = await engine.ended(id);
    expect(status).toBe("COMPLETED");
    expect(Number(epoch)).toBeGreaterThan(2);
    const last = { n: 2, each: [{ n: 2 }] };
    expect(JSON.parse(output ?? "")).toEqual({ run: 2, last, all: [2, 2, 2] });
  });

  it("works when Redis has lost everything, and survives it", async () => {
    const id = await failed(diamond());
    await emptyRedis(engine.redis);
    healed.add(id);
    await client.operations.pauseWorkflow({ name: "redriven" });
    await client.operations.redrive(id, WISH);
    await waitFor(async () => (await client.status(id)).status === "PAUSED");
    await emptyRedis(engine.redis);
    await waitFor(async () => {
      const hash = await engine.redis.hmget(partitionKeys(0).run(id), "s", "ps");
      return hash[0] === "paused" && hash[1] === "w";
    });
    await client.operations.resumeWorkflow({ name: "redriven" });
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED", attempt: 2 });
    expect(executed[id]?.filter((node) => node === "a")).toHaveLength(1);
  });
});
