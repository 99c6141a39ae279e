import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { canonicalJson, compile, type Json } from "../compiler/index.ts";
import { definitionsByHash } from "../sdk/postgres/index.ts";
import { admitBatch, type Answer, type Entry } from "./admit-batch.ts";
import { COSTLY, NO_THREAD, type CompileAnswer, type CompileGuard } from "./compile-guard.ts";
import { IrStore } from "./ir-store.ts";
import { Patience } from "./patience.ts";
import { contextOf, startStack, TestClock, type Stack } from "./stack.fixture.ts";
import type { Starter } from "./starter.ts";
import type { Submission } from "./submission.ts";
import { Workflows, type Compile } from "./workflows.ts";

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

it("a workflow with mistakes is refused with the compiler's hints", async () => {
  const node: Json = { id: "a", type: "transform", config: { expression: "inptu.n" } };
  const document = flow("mistaken", [node]);
  const [found] = await workflows.resolve([
    {
      workflow: { source: { document }, text: JSON.stringify(document), key: "m" },
    } as never as Submission,
  ]);
  expect(found).toMatchObject([
    {
      path: "workflow/nodes/0/config/expression",
      message: expect.stringMatching(/; did you mean `input`\?$/) as unknown,
    },
  ]);
});

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
    await workflows.resolve([
      {
        workflow: { source: { document }, text: JSON.stringify(document), key: "racing" },
      } as never as Submission,
    ]);
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

describe("what takes long", () => {
  const large = (name: string): { [key: string]: Json } =>
    flow(
      name,
      Array.from({ length: 200 }, (_, i) => step(`s${i}`)),
    );
  let here = 0;
  const compileHere: Compile = (source) => (here++, compile(source));

  /** A guard whose thread is not needed to see who is asked. */
  function guardOf(
    answer: (document: string) => CompileAnswer | typeof COSTLY | typeof NO_THREAD,
  ): CompileGuard & { asked: string[] } {
    const asked: string[] = [];
    const ask = (document: string): Promise<unknown> => (
      asked.push(document),
      Promise.resolve(answer(document))
    );
    const check = (): Promise<[]> => (asked.push("check"), Promise.resolve([]));
    return { asked, compile: ask, check, bounds: "1 s", isBusy: false } as never;
  }
  const compiled = (document: string): CompileAnswer => {
    const { ir, ...rest } = compile({ document: JSON.parse(document) as Json });
    return { ...rest, ir: ir && canonicalJson(ir) };
  };

  beforeEach(() => {
    here = 0;
  });

  it("is compiled by the guard, once, and stored as if it had been compiled here", async () => {
    const guard = guardOf(compiled);
    workflows = new Workflows(context, compileHere, guard);
    const [document, small] = [large("large"), flow("small", [step("a")])];
    const all = [document, small, document].map((workflow) => ({ workflow, input: { n: 1 } }));
    expect(await submit(...all)).toEqual(["accepted", "accepted", "accepted"]);
    expect([guard.asked, here]).toEqual([[JSON.stringify(document)], 1]);
    const [stored] = await definitionsByHash(stack.db, [hashOf(document)]);
    expect(stored?.ir).toBe(canonicalJson(compile({ document }).ir));
  });

  it("is put off by a batch that does not wait, with what names it; the rest goes on", async () => {
    const guard = guardOf(compiled);
    workflows = new Workflows(context, compileHere, guard);
    const all = [
      flow("user", [sub("a", "put-off")]),
      large("put-off"),
      flow("nobody", [step("a")]),
    ].map((workflow): Entry => [
      `${++serial}-0`,
      ["submission", JSON.stringify({ workflow, input: { n: 1 } })],
    ]);
    const starter = { deadlines: () => new Map(), start: () => 0 } as never as Starter;
    const admit = async (entries: readonly Entry[], waitMs: number): Promise<unknown[]> => {
      const patience = new Patience(context.clock, waitMs);
      const none = undefined;
      const how = { patience };
      const told = await admitBatch(context, workflows, starter, entries, none, how);
      const answers = told.map(({ reply }) => [reply.submission_id, reply.status]);
      return [answers, [...patience.later.keys()].sort()];
    };
    const [user, put, rest] = all.map(([id]) => id);
    expect(await admit(all, 0)).toEqual([[[rest, "accepted"]], [user, put].sort()]);
    expect(guard.asked).toEqual([]);
    expect(await admit(all.slice(0, 2), 60_000)).toEqual([
      [
        [user, "accepted"],
        [put, "accepted"],
      ],
      [],
    ]);
  });

  it("says what is wrong with it as the compiler does", async () => {
    const wrong = { ...large("wrong"), nodes: large("wrong")["nodes"] as Json, nonsense: 1 };
    const told: unknown[] = [];
    for (const guard of [undefined, guardOf(compiled)]) {
      workflows = new Workflows(context, compileHere, guard);
      const one = { source: { document: wrong }, text: JSON.stringify(wrong), key: "wrong" };
      told.push(await workflows.resolve([{ workflow: one } as never as Submission]));
    }
    expect(told[1]).toEqual(told[0]);
    expect(told[0]).toMatchObject([[{ code: "GV1011" }]]);
    expect(here).toBe(1);
  });

  it("is refused when it costs too much, and for a while unseen", async () => {
    const clock = new TestClock();
    context = { ...context, clock };
    const guard = guardOf(() => COSTLY);
    workflows = new Workflows(context, compileHere, guard);
    const costly = { workflow: large("costly"), input: { n: 1 } };
    expect(await submit(costly, costly)).toEqual(["GV_WORKFLOW_COSTLY", "GV_WORKFLOW_COSTLY"]);
    expect(guard.asked).toHaveLength(1);
    clock.offsetMs += 600_001;
    expect(await submit(costly)).toEqual(["GV_WORKFLOW_COSTLY"]);
    expect([guard.asked.length, here]).toEqual([2, 0]);
  });

  it("is compiled here where there is no thread", async () => {
    workflows = new Workflows(
      context,
      compileHere,
      guardOf(() => NO_THREAD),
    );
    expect(await submit({ workflow: large("here"), input: { n: 1 } })).toEqual(["accepted"]);
    expect(here).toBe(1);
  });

  it("is whatever may have killed: nothing of it is compiled or checked here", async () => {
    const guard = guardOf(compiled);
    workflows = new Workflows(context, compileHere, guard);
    const document = flow("suspect", [step("a")]);
    const entry: Entry = [
      `${++serial}-0`,
      ["submission", JSON.stringify({ workflow: document, input: {} })],
    ];
    const starter = { deadlines: () => new Map(), start: () => 0 } as never as Starter;
    const none = undefined;
    await admitBatch(context, workflows, starter, [entry], none, { isSuspect: true });
    expect([guard.asked, here]).toEqual([[JSON.stringify(document), "check"], 0]);
  });

  it("is a batch of what does not: others have their turn between two of it", async () => {
    const clock = new TestClock();
    context = { ...context, clock };
    const slow: Compile = (source) => ((clock.offsetMs += 30), compile(source));
    const turnsBefore: number[] = [];
    let turns = 0;
    let isDone = false;
    const count = (): void => void (turns++, isDone || setImmediate(count));
    const all = Array.from({ length: 5 }, (_, i) => {
      const document = flow(`turn-${i}`, [step("a")]);
      const one = { source: { document }, text: JSON.stringify(document), key: `turn-${i}` };
      return { workflow: one } as never as Submission;
    });
    const watched: Compile = (source) => (turnsBefore.push(turns), slow(source));
    workflows = new Workflows(context, watched, guardOf(compiled));
    count();
    await workflows.resolve(all);
    isDone = true;
    expect(new Set(turnsBefore).size).toBe(5);
  });
});
