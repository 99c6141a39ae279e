import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, type Json } from "../compiler/index.ts";
import { definitionByRef, readRun } from "../sdk/postgres/index.ts";
import { publish } from "../test/harness/publish.ts";
import { admitBatch, type Answer, type Entry } from "./admit-batch.ts";
import { startContext, type Supervised } from "./stack.fixture.ts";
import type { Starter } from "./starter.ts";
import { Workflows } from "./workflows.ts";

let on: Supervised;
let serial = 0;
beforeAll(async () => {
  on = await startContext();
});
afterAll(() => on.close());

const step = (text: string): Json => ({ id: "a", type: "transform", config: { expression: text } });
const sub = (id: string, workflow: string): Json => ({
  ...{ id, type: "subworkflow" },
  config: { workflow },
});
type Document = { [key: string]: Json };
const flow = (name: string, version: string, nodes: Json[], tags: string[] = []): Document => ({
  ...{ metadata: { name, version, tags }, nodes },
  edges: [],
});

async function submit(...submissions: object[]): Promise<Answer["reply"][]> {
  const entries = submissions.map((one): Entry => [
    `${++serial}-0`,
    ["submission", JSON.stringify(one)],
  ]);
  // Nothing is started: what is looked at is the rows.
  const starter = { deadlines: () => Promise.resolve(new Map()), start: () => Promise.resolve(0) };
  const workflows = new Workflows(on.context, compile);
  const answers = await admitBatch(on.context, workflows, starter as never as Starter, entries);
  return answers.map(({ reply }) => reply);
}

async function bindingsOf(reply: Answer["reply"] | undefined): Promise<unknown> {
  const row = await readRun(on.stack.db, reply?.run_id ?? "");
  return JSON.parse(row?.bindings ?? "null");
}

describe("D25: what a reference means", () => {
  it("a name is the newest, a version that one, a tag the newest that carries it", async () => {
    const one = await publish(on.stack.db, flow("refs", "1", [step("1")], ["stable"]));
    const two = await publish(on.stack.db, flow("refs", "2", [step("2")], ["stable", "3"]));
    const three = await publish(on.stack.db, flow("refs", "3", [step("3")]));
    const means = async (version: string | null): Promise<string | undefined> =>
      (await definitionByRef(on.stack.db, "refs", version))?.hash;
    expect(await means(null)).toBe(three);
    expect(await means("latest")).toBe(three);
    expect(await means("1")).toBe(one);
    expect(await means("stable")).toBe(two);
    expect(await means("3")).toBe(three);
    expect(await means("none")).toBe(undefined);
  });

  it("publishing again makes the newest; being submitted again does not", async () => {
    const one = await publish(on.stack.db, flow("again", "1", [step("1")]));
    const two = await publish(on.stack.db, flow("again", "2", [step("2")]));
    await submit({ workflow: flow("again", "1", [step("1")]) });
    expect((await definitionByRef(on.stack.db, "again", null))?.hash).toBe(two);
    await publish(on.stack.db, flow("again", "1", [step("1")]));
    expect((await definitionByRef(on.stack.db, "again", null))?.hash).toBe(one);
  });
});

describe("binding", () => {
  it("the references of the whole tree are settled when the run is accepted", async () => {
    const leaf = await publish(on.stack.db, flow("leaf", "1", [step("1")]));
    const middle = await publish(
      on.stack.db,
      flow("middle", "1", [sub("x", "leaf@1"), sub("y", "leaf")]),
    );
    const root = flow("root", "1", [sub("m", "middle")]);
    const [reply] = await submit({ workflow: root });
    expect(await bindingsOf(reply)).toEqual({ middle, leaf, "leaf@1": leaf });
    const newer = await publish(on.stack.db, flow("leaf", "2", [step("2")]));
    const [later] = await submit({ workflow: root });
    expect(await bindingsOf(later)).toEqual({ middle, leaf: newer, "leaf@1": leaf });
    expect(await bindingsOf(reply)).toMatchObject({ leaf });
  });

  it("references inside the body of a map count", async () => {
    const leaf = await publish(on.stack.db, flow("inmap", "1", [step("1")]));
    const each = { id: "e", type: "map", config: { items: "[1]", do: sub("s", "inmap") } };
    const [reply] = await submit({ workflow: flow("mapper", "1", [each as Json]) });
    expect(await bindingsOf(reply)).toEqual({ inmap: leaf });
  });

  it("a missing reference is refused with its node and workflow", async () => {
    await publish(on.stack.db, flow("holey", "1", [sub("deep", "nowhere@7")]));
    const [reply] = await submit({ workflow: flow("top", "1", [sub("h", "holey")]) });
    expect(reply?.status).toBe("rejected");
    expect(reply?.errors?.[0]?.code).toBe("GV_WORKFLOW_NOT_FOUND");
    expect(reply?.errors?.[0]?.message).toContain('node "deep" of workflow "holey"');
    expect(reply?.errors?.[0]?.message).toContain('"nowhere@7"');
  });

  it("a workflow may refer to itself, and to one that comes with the same batch", async () => {
    const self = flow("self", "1", [sub("s", "self")]);
    const both = [{ workflow: flow("uses", "1", [sub("f", "fresh")]) }];
    const replies = await submit(
      { workflow: self },
      { workflow: flow("fresh", "1", [step("9")]) },
      ...both,
    );
    expect(replies.map(({ status }) => status)).toEqual(["accepted", "accepted", "accepted"]);
    const hash = compile({ document: self }).hash;
    expect(await bindingsOf(replies[0])).toEqual({ self: hash });
  });
});
