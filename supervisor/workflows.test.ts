import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { compile, type Json } from "../compiler/index.ts";
import { definitionsByHash } from "../sdk/postgres/index.ts";
import { admitBatch, type Answer, type Entry } from "./admit-batch.ts";
import { IrStore } from "./ir-store.ts";
import { contextOf, startStack, type Stack } from "./stack.fixture.ts";
import type { Starter } from "./starter.ts";
import type { Submission } from "./submission.ts";
import { Workflows } from "./workflows.ts";

let stack: Stack;
let context: Awaited<ReturnType<typeof contextOf>>;
let workflows: Workflows;
let serial = 0;

beforeAll(async () => {
  stack = await startStack();
});
beforeEach(async () => {
  context = await contextOf(stack, { irs: new IrStore(stack.db) });
  workflows = new Workflows(context, compile);
});
afterEach(() => {
  context.close();
});
afterAll(async () => {
  await stack.close();
});

const needsN = { type: "object", required: ["n"] };
const flow = (
  name: string,
  nodes: Json[],
  inputSchema: Json = needsN,
): { [key: string]: Json } => ({
  ...{ metadata: { name, version: "1" }, input_schema: inputSchema, nodes },
  edges: [],
});
const step = (id: string): Json => ({ id, type: "transform", config: { expression: "1" } });
const sub = (id: string, workflow: string): Json => ({
  ...{ id, type: "subworkflow" },
  config: { workflow },
});
const hashOf = (document: { [key: string]: Json }): string => {
  const { hash, diagnostics } = compile({ document });
  if (hash === null) {
    throw new Error(JSON.stringify(diagnostics));
  }
  return hash;
};

async function submit(...submissions: object[]): Promise<string[]> {
  const entries = submissions.map((one): Entry => [
    `${++serial}-0`,
    ["submission", JSON.stringify(one)],
  ]);
  // Nothing is started: what is looked at is what is stored.
  const starter = { deadlines: () => Promise.resolve(new Map()), start: () => Promise.resolve(0) };
  const answers: Answer[] = await admitBatch(
    context,
    workflows,
    starter as never as Starter,
    entries,
  );
  return answers.map(({ reply }) => reply.errors?.[0]?.code ?? reply.status);
}

const isStored = async (hash: string): Promise<boolean> =>
  (await definitionsByHash(stack.db, [hash])).length === 1;

describe("a run that names its workflow by hash", () => {
  it("is not accepted without the definition, which came with a submission that was refused", async () => {
    const document = flow("refused", [step("a")]);
    const hash = hashOf(document);
    expect(await submit({ workflow: document, input: {} })).toEqual(["GV_BAD_INPUT"]);
    expect(await isStored(hash)).toBe(false);
    expect(await submit({ hash, input: { n: 1 } })).toEqual(["accepted"]);
    expect(await isStored(hash)).toBe(true);
  });

  it("is not accepted without the definition, which another batch has yet to commit", async () => {
    const document = flow("racing", [step("a")]);
    const hash = hashOf(document);
    // The other batch has compiled it, and gets no further.
    await workflows.resolve([{ workflow: { document, key: "racing" } } as never as Submission]);
    expect(await submit({ hash, input: { n: 1 } })).toEqual(["accepted"]);
    expect(await isStored(hash)).toBe(true);
  });

  it("is not accepted without the definition, to which only refused submissions were bound", async () => {
    const document = flow("bound", [step("a")]);
    const hash = hashOf(document);
    const user = flow("user", [sub("a", "bound"), sub("b", "nobody")], null);
    const refused = await submit({ workflow: document, input: {} }, { workflow: user });
    expect(refused.sort()).toEqual(["GV_BAD_INPUT", "GV_WORKFLOW_NOT_FOUND"]);
    expect(await submit({ hash, input: { n: 1 } })).toEqual(["accepted"]);
    expect(await isStored(hash)).toBe(true);
  });

  it("brings no definition where one is known to be stored: its batch is one statement", async () => {
    const document = flow("stored", [step("a")]);
    const hash = hashOf(document);
    const byHash = [{ workflow: { hash } } as never as Submission];
    expect(await submit({ workflow: document, input: { n: 1 } })).toEqual(["accepted"]);
    expect(await workflows.resolve(byHash)).toMatchObject([{ definition: null }]);
    const other = await contextOf(stack, { irs: new IrStore(stack.db) });
    expect(await new Workflows(other, compile).resolve(byHash)).toMatchObject([
      { stored: { hash }, definition: null },
    ]);
    other.close();
  });
});
