/** X20: runs that begin in the middle of their workflow, through a whole engine. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client, type SubmissionRequest } from "../../sdk/client.ts";
import { readRun } from "../../sdk/postgres/index.ts";
import { partitionKeys } from "../../sdk/internal.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { emptyRedis, waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
const executed: { [run: string]: string[] } = {};
const hanging: (() => void)[] = [];
/** Of the functions that hang. */
const inputs: unknown[] = [];
let isHealed = false;
let mayEnd = false;

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
    if (!isHealed) {
      throw new Error("no luck");
    }
    return { node, input } as never;
  });
  registry.register("hang", async ({ runId, node, input }) => {
    told(runId, node);
    inputs.push(input);
    await (mayEnd ? null : new Promise<void>((resolve) => hanging.push(resolve)));
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

/** a, then b and c side by side, then their join d, then e. */
const diamond = (more: object = {}): object => ({
  ...{ name: "begun", edges: edges("a>b", "a>c", "b>d", "c>d", "d>e") },
  nodes: [step("a"), step("b"), step("c"), step("d"), step("e")],
  ...more,
});

async function begun(workflow: object, more: SubmissionRequest): Promise<string> {
  return client.submit({ workflow: workflow as never, ...more });
}

async function outputOf(id: string): Promise<unknown> {
  return JSON.parse((await engine.ended(id)).output ?? "null") as unknown;
}

describe("X20: a run that begins in the middle", () => {
  it("has its input at an entry, among so many entries that they are a tree", async () => {
    const many = Array.from({ length: 601 }, (_, i) => ({ id: `n${i}`, type: "noop" }));
    const workflow = { name: "entries", nodes: [...many, step("z")], edges: edges("n5>z") };
    // Too large to travel with a token.
    const input = { v: "x".repeat(6000) };
    const id = await begun(workflow, { input, start_at: ["n5"] });
    expect(await outputOf(id)).toEqual({ node: "z", input });
  });

  it("runs the node and what is behind it, with what is given for the rest", async () => {
    const more = { start_at: ["b"], outputs: { a: { n: 1 }, c: "given" } };
    const id = await begun(diamond(), more);
    const input = { b: { node: "b", input: { n: 1 } }, c: "given" };
    expect(await outputOf(id)).toEqual({ node: "e", input: { node: "d", input } });
    expect(executed[id]).toEqual(["b", "d", "e"]);
    expect((await client.status(id)).nodes).toMatchObject({
      a: { status: "completed", activations: 0, output: { n: 1 } },
      b: { status: "completed", activations: 1 },
      c: { status: "completed", activations: 0, output: "given" },
    });
  });

  it("gives a node an input by hand, several nodes at once, and a join its predecessors", async () => {
    const both = { start_at: ["b", "c"], outputs: { a: 1 }, inputs: { c: [2] } };
    const id = await begun(diamond(), both);
    const b = { node: "b", input: 1 };
    const c = { node: "c", input: [2] };
    const input = { node: "d", input: { b, c } };
    expect(await outputOf(id)).toEqual({ node: "e", input });
    const join = await begun(diamond(), { start_at: ["d"], outputs: { b: 1, c: 2 } });
    expect(await outputOf(join)).toMatchObject({ input: { input: { b: 1, c: 2 } } });
    const entry = await begun(diamond(), { start_at: ["a"], input: { all: true } });
    expect(await outputOf(entry)).toMatchObject({ node: "e" });
    expect(executed[entry]).toHaveLength(5);
  });

  it("is refused with what does not fit a node's schemas", async () => {
    const number = { type: "object", properties: { n: { type: "number" } } };
    const nodes = [
      step("a", "step", { output_schema: number }),
      step("b", "step", { input_schema: number }),
    ];
    const workflow = { name: "fits", nodes, edges: edges("a>b") };
    const start = { start_at: ["b"], inputs: { b: { n: "two" } }, outputs: { a: { n: "one" } } };
    const refused = await begun(workflow, start).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "GV_START_REFUSED" });
    const { message } = refused as Error;
    expect(message).toContain('the output given for node "a" does not fit its output_schema');
    expect(message).toContain('the input given for node "b" does not fit its input_schema');
  });

  it("is refused with all that it lacks: node, reference, and how to supply it", async () => {
    const workflow = diamond({ output: { a: "${ctx.a.output}" } });
    const refused = await begun(workflow, { start_at: ["b"] }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "GV_START_REFUSED" });
    const { message } = refused as Error;
    expect(message).toContain('"b" gets the output of "a", which would not run');
    expect(message).toContain('"d" waits for "c", which would not run');
    expect(message).toContain('the run\'s output reads "a"');
    expect(message).toContain("--set c=JSON");
    expect(message).toContain("--node-input b=JSON");
    const wrong = { start_at: ["b", "d", "x"], outputs: { e: 1 }, inputs: { a: 1 } };
    const problems = String(await begun(diamond(), wrong).catch((error: unknown) => error));
    expect(problems).toContain('"d" stands behind "b", where the run begins already');
    expect(problems).toContain('there is no node "x"');
    expect(problems).toContain('"e" runs itself: it cannot be given');
    expect(problems).toContain('"a" does not begin: no input can be given to it');
  });

  it("has edges from what is given decided by their conditions, others dead", async () => {
    const routed = diamond({
      nodes: [{ id: "a", type: "conditional" }, step("b"), step("c"), step("d"), step("e")],
      edges: [
        { from: "a", to: "b", condition: "output.n > 1" },
        { from: "a", to: "c" },
        { from: "a", to: "d", on: "always", condition: "output.n > 5" },
        ...edges("b>d", "c>d", "d>e"),
      ],
    });
    const start = (n: number): SubmissionRequest => ({ start_at: ["b"], outputs: { a: { n } } });
    const one = await begun(routed, start(2));
    const [two, nine] = [{ n: 2 }, { n: 9 }];
    expect(await outputOf(one)).toMatchObject({ input: { input: { b: { input: two } } } });
    expect((await client.status(one)).nodes["c"]).toMatchObject({ status: "pending" });
    const other = await begun(routed, start(9));
    expect(await outputOf(other)).toMatchObject({
      input: { input: { a: nine, b: { input: nine } } },
    });
    const refused = await begun(routed, { start_at: ["b"], outputs: { a: {} } }).catch(String);
    expect(refused).toContain('the output given for "a" decides no edges: CONDITION_FAILED');
  });

  it("in a loop begins in its first round, and the next round has all of it", async () => {
    const loop = { loop_back_to: "a", condition: "iteration < 2", max_iterations: 5 };
    const workflow = {
      ...{ name: "rounds", edges: edges("z>a", "a>b", "b>l", "l>e") },
      nodes: [
        step("z"),
        step("a"),
        step("b", "step", { config: { function_name: "step", input: "${ctx.z.output}" } }),
        { id: "l", type: "loop", config: loop },
        step("e"),
      ],
    };
    const lacking = await begun(workflow, { start_at: ["l"], inputs: { l: 1 } }).catch(String);
    // Not in the round it begins in: in the second.
    expect(lacking).toContain('"b" reads the output of "z", which would not run');
    const id = await begun(workflow, { start_at: ["l"], inputs: { l: 1 }, outputs: { z: 7 } });
    expect(await outputOf(id)).toEqual({ node: "e", input: { node: "b", input: 7 } });
    expect(executed[id]).toEqual(["a", "b", "e"]);
  });

  it("survives the loss of Redis with what it was given", async () => {
    const workflow = diamond({
      nodes: [step("a"), step("b", "hang"), step("c"), step("d"), step("e")],
    });
    const given = "y".repeat(20_000);
    const more = {
      start_at: ["b"],
      inputs: { b: given },
      outputs: { a: 1, c: "x".repeat(20_000) },
    };
    const id = await begun(workflow, more);
    await waitFor(() => hanging.length >= 1, { describe: "b did not begin" });
    await waitFor(async () => (await client.status(id)).status === "RUNNING");
    const { irHash = "" } = (await readRun(engine.db, id)) ?? {};
    const c = (await client.irOf(irHash)).nodes.findIndex((node) => node.id === "c");
    const field = `n${c}`;
    const before = await engine.redis.hget(partitionKeys(0).run(id), field);
    expect(before).toMatch(/^c1\|\|\{"\$gv:blob":"[0-9a-f]{64}:20002"\}$/);
    await emptyRedis(engine.redis);
    await waitFor(() => hanging.length >= 2, { describe: "b did not begin again" });
    expect(inputs).toEqual([given, given]);
    expect(await engine.redis.hget(partitionKeys(0).run(id), field)).toBe(before);
    // One that was begun before its worker had heard of the new epoch is executed once more.
    mayEnd = true;
    hanging.splice(0).forEach((end) => end());
    expect(await outputOf(id)).toMatchObject({
      input: { input: { b: "b", c: "x".repeat(20_000) } },
    });
    expect(executed[id]?.filter((node) => node !== "b")).toEqual(["d", "e"]);
  });

  it("can be redriven, from where it began too, and keeps what it was given", async () => {
    const workflow = diamond({
      nodes: [step("a"), step("b"), step("c"), step("d", "flaky"), step("e")],
    });
    const id = await begun(workflow, { start_at: ["b"], outputs: { a: 1, c: 2 } });
    expect(await engine.ended(id)).toMatchObject({ status: "FAILED" });
    isHealed = true;
    const wish = { by: "ann", from: ["b"] };
    expect(await client.operations.redrive(id, wish)).toMatchObject({ starts: ["b"] });
    await waitFor(async () => (await readRun(engine.db, id))?.attempt === 2);
    expect(await outputOf(id)).toMatchObject({ input: { input: { b: { input: 1 }, c: 2 } } });
    expect(executed[id]).toEqual(["b", "d", "b", "d", "e"]);
  });

  it("undoes what it ran, with the outputs that were given", async () => {
    const undo = {
      function_name: "builtin.echo",
      params: { of: "${ctx.a.output}", in: "${data}" },
    };
    const own = { function_name: "step" };
    const nodes = [step("a", "step", { compensate: own }), step("b", "step", { compensate: undo })];
    const fail = { id: "c", type: "function", config: { function_name: "builtin.fail" } };
    const workflow = { name: "undone", nodes: [...nodes, fail], edges: edges("a>b", "b>c") };
    const id = await begun(workflow, { start_at: ["b"], outputs: { a: "paid" } });
    expect(await engine.ended(id)).toMatchObject({ status: "FAILED" });
    const undone = await waitFor(async () => (await client.status(id)).compensation);
    const { input } = await engine.ended(undone.run_id);
    expect(JSON.parse(input)).toMatchObject({ steps: [{ node: "b" }] });
    const report = await client.status(undone.run_id);
    expect(JSON.stringify(report.nodes)).toContain('{"of":"paid","in":"paid"}');
  });
});
