/**
 * Limits of whole runs count what is submitted: a tree of runs by its root, an undoing not at all.
 * Whoever is in the tree of a run that has a place would otherwise wait for the place of that run.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../compiler/index.ts";
import { createClient, type Client } from "../sdk/index.ts";
import { defineFunction } from "../sdk/define-function.ts";
import { compensationOf, listRuns, readRun } from "../sdk/postgres/index.ts";
import { FunctionRegistry } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { publish } from "./harness/publish.ts";
import { waitFor } from "./support/index.ts";

let engine: Engine;
let client: Client;
const undone: Json[] = [];

beforeAll(async () => {
  engine = await startEngine();
  const undo = defineFunction<{ n: Json }>("undo", ({ params }) => {
    undone.push(params.n);
    return null;
  });
  await engine.worker({ registry: new FunctionRegistry([undo]) });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const LIMITS = [
  { what: "concurrency", settings: { concurrency: { key: "one", limit: 1 } } },
  { what: "rate_limit", settings: { rate_limit: { key: "one", limit: 1, per_ms: 3_600_000 } } },
];
const gate = { id: "gate", type: "wait", config: { signal: "go" } };

const statusOf = async (id: string): Promise<string | undefined> =>
  (await readRun(engine.db, id))?.status;

describe.each(LIMITS)("a child whose workflow has settings.$what", ({ what, settings }) => {
  it("starts in its parent's place, also where parent and child are one workflow", async () => {
    const name = `self_${what}`;
    const deeper = {
      id: "deeper",
      type: "subworkflow",
      config: { workflow: name, input: { n: "${input.n - 1}" } },
    };
    const document = {
      ...{ name, settings },
      nodes: [{ id: "start", type: "parallel" }, deeper],
      edges: [{ from: "start", to: "deeper", condition: "input.n > 0" }],
    };
    await publish(engine.db, document);
    const root = await client.submit({ workflow: document as never, input: { n: 2 } });
    expect((await client.ended(root, { timeoutMs: 20_000 })).status).toBe("COMPLETED");
    const [child] = await listRuns(engine.db, { parent: root, limit: 2 });
    expect(await listRuns(engine.db, { parent: child?.id ?? "", limit: 2 })).toHaveLength(1);
  });

  it("neither waits for those that are submitted nor keeps them waiting", async () => {
    const name = `inner_${what}`;
    const inner = { name, settings, nodes: [gate], edges: [] };
    await publish(engine.db, inner);
    const sub = { id: "sub", type: "subworkflow", config: { workflow: name } };
    const outer = { name: `outer_${what}`, nodes: [sub], edges: [] };
    const early = await client.submit({ workflow: outer as never });
    const child = await waitFor(
      async () => (await listRuns(engine.db, { parent: early, limit: 1 }))[0]?.id,
      { describe: "it has no child" },
    );
    const first = await client.submit({ workflow: inner as never });
    await client.signal(first, "go", 1);
    await waitFor(async () => (await statusOf(first)) === "COMPLETED", {
      describe: "the child keeps it waiting",
    });
    // Another has the place, or the start, now.
    const second = await client.submit({ workflow: inner as never });
    const late = await client.submit({ workflow: outer as never });
    const other = await waitFor(
      async () => (await listRuns(engine.db, { parent: late, limit: 1 }))[0]?.id,
      { describe: "the child waits" },
    );
    for (const id of [child, other]) {
      await client.signal(id, "go", 1);
    }
    for (const id of [early, late]) {
      expect((await client.ended(id, { timeoutMs: 20_000 })).status).toBe("COMPLETED");
    }
    await client.cancel(second);
  });
});

describe("compensation of a run with a place", () => {
  it("begins at once, beside the next run of its key", async () => {
    const step = {
      id: "step",
      type: "function",
      compensate: { function_name: "undo", params: { n: 7 } },
    };
    const config = { function_name: "builtin.echo", params: {} };
    const document = {
      ...{ name: "undoing", settings: LIMITS[0]?.settings },
      nodes: [
        { ...step, config },
        gate,
        { id: "boom", type: "function", config: { function_name: "builtin.fail" } },
      ],
      edges: [
        { from: "step", to: "gate" },
        { from: "gate", to: "boom" },
      ],
    };
    const first = await client.submit({ workflow: document as never });
    const second = await client.submit({ workflow: document as never });
    await client.signal(first, "go", 1);
    expect((await client.ended(first, { timeoutMs: 20_000 })).status).toBe("FAILED");
    const undoing = await waitFor(
      async () => (await compensationOf(engine.db, first)) ?? undefined,
      { describe: "nothing undoes it" },
    );
    expect((await engine.ended(undoing.id)).status).toBe("COMPLETED");
    expect(undone).toEqual([7]);
    await waitFor(async () => (await statusOf(second)) === "RUNNING", {
      describe: "the next one does not get the place",
    });
    await client.cancel(second);
  });
});
