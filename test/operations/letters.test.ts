/** What becomes of dead letters that their run, or the tree of their run, has no use for. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/client.ts";
import { defineFunction } from "../../sdk/internal.ts";
import { endedTrees, listDeadLetters, type ListedLetter } from "../../sdk/postgres/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
/** How often a function still fails, by its name in the parameters. */
const failures: { [what: string]: number } = {};
const shaky = defineFunction("shaky", ({ params }) => {
  const { what } = params as { what: string };
  const left = failures[what] ?? 0;
  failures[what] = left - 1;
  if (left > 0) {
    throw new Error("not now");
  }
  return what;
});
beforeAll(async () => {
  engine = await startEngine();
  await engine.worker({ registry: new FunctionRegistry([shaky]) });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const NOTE = { by: "ann" };
const call = (id: string, what: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: "shaky", params: { what } } },
  ...more,
});
const child = (id: string, workflow: string, more: object = {}): object => ({
  ...{ id, type: "subworkflow", config: { workflow } },
  ...more,
});
const echo = { id: "h", type: "function", config: { function_name: "builtin.echo" } };

/** A workflow of one step that fails so often. */
async function published(name: string, fails: number): Promise<void> {
  await engine.ended(
    await engine.submit({ workflow: { name, nodes: [call("c", name)], edges: [] } }),
  );
  failures[name] = fails;
}

/** Letters of a run's tree, oldest first. */
async function lettersOf(root: string): Promise<ListedLetter[]> {
  const all = await listDeadLetters(engine.db, { limit: 100 });
  return all.filter(({ runId }) => runId?.split("~")[0] === root).reverse();
}

/** Whether retention would take the tree. */
async function isSpent(root: string): Promise<boolean> {
  const rule = { endedBeforeMs: Number.MAX_SAFE_INTEGER, lettersBeforeMs: 0 };
  return (await endedTrees(engine.db, rule, [root])).length === 1;
}

describe("dead letters of a tree whose run went well are settled", () => {
  const settled = { state: "retried", outcome: "its run went on, and completed" };
  const cases: { [what: string]: (name: string) => Promise<object> } = {
    "a map tolerates the failure of an element": (name) => {
      const tolerated = { items: [1, 2], tolerated_failures: 1, do: call("x", name) };
      failures[name] = 1;
      return Promise.resolve({ nodes: [{ id: "m", type: "map", config: tolerated }], edges: [] });
    },
    "a child failed, and its node was tried again": async (name) => {
      await published(`${name}_child`, 1);
      const retry = { max_attempts: 2, backoff_ms: 1 };
      return { nodes: [child("s", `${name}_child`, { retry })], edges: [] };
    },
    "an error edge took the failure of a child's child": async (name) => {
      await published(`${name}_inner`, 1);
      const inner = { name: `${name}_child`, nodes: [child("i", `${name}_inner`)], edges: [] };
      const nodes = [child("s", `${name}_child`), echo];
      await engine.submit({ workflow: inner }).then((id) => engine.ended(id));
      failures[`${name}_inner`] = 1;
      return { nodes, edges: [{ from: "s", to: "h", on: "error" }] };
    },
  };
  it.each(Object.keys(cases))("when %s", async (what) => {
    const name = `well_${Object.keys(cases).indexOf(what)}`;
    const workflow = { name, ...(await cases[what]?.(name)) };
    const root = await engine.submit({ workflow });
    const row = await engine.ended(root);
    expect(row.status).toBe("COMPLETED");
    const letters = await lettersOf(root);
    expect(letters.length).toBeGreaterThan(0);
    letters.forEach((letter) => expect(letter).toMatchObject(settled));
    expect(await isSpent(root)).toBe(true);
  });
});

it("the letter of a child without a parent stays open, and is retried by itself", async () => {
  await published("alone", 1);
  const nodes = [child("s", "alone", { config: { workflow: "alone", wait: false } })];
  const root = await engine.submit({ workflow: { name: "starts_alone", nodes, edges: [] } });
  expect((await engine.ended(root)).status).toBe("COMPLETED");
  await waitFor(async () => (await lettersOf(root)).length === 1);
  const [letter] = await lettersOf(root);
  expect(letter?.state).toBe("open");
  const again = await client.letters.retry(letter?.id ?? "", NOTE);
  expect((await engine.ended(again.runId ?? "")).status).toBe("COMPLETED");
  expect(await lettersOf(root)).toMatchObject([{ state: "retried" }]);
});

it("a redrive settles the letters of the children that it begins anew, and no others", async () => {
  await published("first", 1);
  await published("second", 2);
  await published("third", 1);
  const map = { id: "m", type: "map", config: { items: [1], do: child("e", "third") } };
  const nodes = [child("a", "first"), child("b", "second"), map];
  const settings = { failure: "continue" };
  const root = await engine.submit({ workflow: { name: "children", nodes, edges: [], settings } });
  await engine.ended(root);
  const outcomes = async (): Promise<string[]> =>
    (await lettersOf(root))
      .filter(({ runId }) => runId !== root)
      .map(({ state, outcome }) => `${state}: ${outcome ?? ""}`)
      .sort();
  const [open, again] = ["open: ", "retried: run again in attempt"];
  expect(await outcomes()).toEqual([open, open, open]);

  await client.operations.redrive(root, { ...NOTE, only: ["a"] });
  expect(await outcomes()).toEqual([open, open, `${again} 2 of its run`]);
  expect((await engine.ended(root)).status).toBe("FAILED");

  await client.operations.redrive(root, NOTE);
  const last = [open, `${again} 2 of its run`, `${again} 3 of its run`, `${again} 3 of its run`];
  await waitFor(async () => (await outcomes()).length === 4);
  expect(await outcomes()).toEqual(last); // the second child has failed once more
});
