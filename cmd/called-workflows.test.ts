import { afterAll, beforeAll, expect, it } from "vitest";
import { compile, type Ir, type Json } from "../compiler/index.ts";
import { insertDefinitions, type Database } from "../sdk/postgres/index.ts";
import { testDatabase, type TestDatabase } from "../test/support/index.ts";
import { functionsIn, queuesIn, workflowsBelow } from "./called-workflows.ts";

let testing: TestDatabase;
let db: Database;
beforeAll(async () => {
  testing = await testDatabase();
  db = testing.connect();
});
afterAll(() => testing.close());

function irOf(name: string, ...nodes: object[]): Ir {
  const document = { name, version: "1", nodes, edges: [] };
  const { ir, diagnostics } = compile({ document: document as unknown as Json });
  if (ir === null) {
    throw new Error(JSON.stringify(diagnostics));
  }
  return ir;
}
const call = (id: string, name: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: name } },
  ...more,
});
const map = (id: string, inner: object): object => ({
  ...{ id, type: "map", config: { items: [1, 2], do: inner } },
});
const sub = (id: string, workflow: string): object => ({
  ...{ id, type: "subworkflow", config: { workflow } },
});

async function publish(ir: Ir): Promise<void> {
  const about = { hash: ir.name, name: ir.name, version: "1", source: null, createdAtMs: 1 };
  await insertDefinitions(db, [{ ...about, ir: JSON.stringify(ir) }]);
}

it("functions are those of nodes, of loops, of what undoes them, and in bodies of maps", () => {
  const loop = { loop_back_to: "l", max_iterations: 3, condition: "!has(output.done)" };
  const ir = irOf(
    "all",
    call("a", "one", { compensate: { function_name: "undo_one" }, queue: "gpu" }),
    { id: "l", type: "loop", config: { ...loop, function_name: "poll" } },
    map("m", map("n", call("x", "inner", { compensate: "undo_inner", queue: "slow" }))),
  );
  expect(functionsIn(ir)).toEqual(["inner", "one", "poll", "undo_inner", "undo_one"]);
  const queues = ["gpu", "slow", "fn:poll", "fn:undo_one", "fn:undo_inner"];
  expect(queuesIn(ir)).toEqual(expect.arrayContaining(queues));
});

it("workflows below are all that references lead to, once each, in bodies of maps too", async () => {
  await publish(irOf("leaf", call("f", "leaf_step"), sub("again", "top")));
  await publish(irOf("middle", map("m", sub("s", "leaf"))));
  await publish(irOf("top", sub("s", "middle"), sub("missing", "nobody")));
  const below = await workflowsBelow(db, irOf("top", sub("s", "middle"), sub("t", "leaf@1")));
  expect(below.map(({ name }) => name).sort()).toEqual(["leaf", "middle", "top"]);
});
