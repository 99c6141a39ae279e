/** Compensation of trees: what stands below a run is undone before the run is. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/client.ts";
import { defineFunction, rootOf } from "../../sdk/internal.ts";
import { compensationOf, listRuns } from "../../sdk/postgres/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
/** What was undone, in order, by tree. */
const undone: { [root: string]: string[] } = {};
/** What undoes ends when its gate is open: whoever does not wait for it is seen before it. */
const gates = new Map<string, Promise<void>>();
const begun: string[] = [];
const undo = defineFunction("undo", async ({ params, runId }) => {
  const { what } = params as { what: string };
  begun.push(what);
  await gates.get(what);
  (undone[rootOf(runId)] ??= []).push(what);
  return null;
});
beforeAll(async () => {
  engine = await startEngine();
  await engine.worker({ registry: new FunctionRegistry([undo]) });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
  await published("leaf", [step("c"), gate]);
  await published("inner", [step("b"), child("leaf")]);
  await published("breaks", [step("x"), { ...gate, ...boom }]);
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const step = (id: string): object => ({
  ...{ id, type: "function", config: { function_name: "builtin.echo" } },
  compensate: { function_name: "undo", params: { what: id } },
});
const child = (workflow: string, more: object = {}): object => ({
  ...{ id: `run_${workflow}`, type: "subworkflow", config: { workflow } },
  ...more,
});
const gate = { id: "gate", type: "wait", config: { signal: "go" } };
const boom = { type: "function", config: { function_name: "builtin.fail" } };

/** A workflow of these nodes, one after the other. */
function chain(name: string, nodes: readonly object[]): object {
  const ids = nodes.map((node) => (node as { id: string }).id);
  const edges = ids.slice(1).map((to, i) => ({ from: ids[i], to }));
  return { name, nodes, edges };
}

async function published(name: string, nodes: readonly object[]): Promise<void> {
  const id = await engine.submit({ workflow: chain(name, nodes) });
  await client.cancel(id).catch(() => undefined); // it may have failed by itself
  await engine.ended(id);
}

/** What undoes this ends when the returned function is called. */
function close(what: string): () => void {
  let open = (): void => undefined;
  gates.set(what, new Promise((resolve) => (open = resolve)));
  begun.length = 0;
  return () => open();
}

/**
 * Once this is being undone, and the supervisor has undone another run since, of the same partition:
 * it has passed all that the end of the first may begin.
 */
async function passed(what: string): Promise<void> {
  await waitFor(() => begun.includes(what), { describe: `${what} is not being undone` });
  const other = await engine.submit({
    workflow: chain("other", [step("other"), { id: "boom", ...boom }]),
  });
  expect(await undoing(other)).toBe("COMPLETED");
}

async function undoing(runId: string): Promise<string> {
  const found = await waitFor(async () => (await compensationOf(engine.db, runId)) ?? undefined);
  return (await engine.ended(found.id)).status;
}

/** The first child of a run, once this node of it has completed. */
async function childOf(parent: string, node: string): Promise<string> {
  return waitFor(async () => {
    const [run] = await listRuns(engine.db, { parent, limit: 1 });
    if (run === undefined) {
      return undefined;
    }
    const { nodes } = await client.status(run.id);
    return nodes[node]?.status === "completed" ? run.id : undefined;
  });
}

describe("a run is undone after all that stands below it", () => {
  it("when it was cancelled, and its children and theirs with it", async () => {
    const root = await engine.submit({ workflow: chain("outer", [step("a"), child("inner")]) });
    const inner = await childOf(root, "b");
    await childOf(inner, "c");
    const [undoC, undoB] = [close("c"), close("b")];
    await client.cancel(root, "enough");
    await passed("c");
    undoC();
    await passed("b");
    undoB();
    expect(await undoing(root)).toBe("COMPLETED");
    expect(undone[root]).toEqual(["c", "b", "a"]);
  });

  it("when a child failed and the run with it", async () => {
    const undoX = close("x");
    const root = await engine.submit({ workflow: chain("fails", [step("a"), child("breaks")]) });
    await passed("x");
    undoX();
    expect(await undoing(root)).toBe("COMPLETED");
    expect(undone[root]).toEqual(["x", "a"]);
  });

  it("but not after a run that it has started and not waited for", async () => {
    const alone = child("leaf", { config: { workflow: "leaf", wait: false } });
    const nodes = [step("a"), alone, { id: "boom", ...boom }];
    const root = await engine.submit({ workflow: chain("leaves_alone", nodes) });
    expect(await undoing(root)).toBe("COMPLETED");
    const tree = await listRuns(engine.db, { status: "RUNNING", workflow: "leaf", limit: 5 });
    const [left] = tree.filter(({ id }) => id.startsWith(`${root}~`));
    expect(left?.status).toBe("RUNNING");
    await client.cancel(left?.id ?? "");
  });
});
