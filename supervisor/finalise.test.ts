import { afterAll, beforeAll, expect, it } from "vitest";
import { admitRuns } from "../sdk/postgres/index.ts";
import { Finaliser } from "./finalise.ts";
import { foldBlock } from "./fold-block.ts";
import { chainIr, startContext, type Supervised } from "./stack.fixture.ts";

/** As many runs as a finaliser remembers. */
const REMEMBERED = 50_000;
const IR = "hash-of-a";
let on: Supervised;

beforeAll(async () => {
  on = await startContext();
});

afterAll(() => on.close());

const started = (r: string): object => ({ r, e: "run.started", ir: IR });
/** A run of one node that has just ended: its output is that of the node. */
const ended = (r: string): object[] => [
  { r, e: "node.completed", n: 0, s: "", a: 1, f: 1, x: "", o: { of: r } },
  { r, e: "run.completed" },
];
const blockOf = (members: object[]): ReturnType<typeof foldBlock> => {
  const body = `[${members.map((member) => JSON.stringify(member)).join(",\n")}]`;
  return foldBlock([{ streamId: "1-0", seq: 1, nonce: "n1", prev: "n0", t: 1, body }]);
};

it("keeps the outputs of runs that end in the block at which it forgets what it remembers", async () => {
  const ir = chainIr(["a"]);
  const definition = { hash: IR, name: "chain", version: "1", source: null, createdAtMs: 1 };
  // Rows of runs that a finaliser before this one has seen start.
  const rows = ["old-1", "old-2"].map((id) => ({
    ...{ id, tenant: "", workflow: "chain", version: "1", irHash: IR, partition: 0 },
    ...{ namespace: "", priority: "normal" as const, input: "null", idempotencyKey: null },
    ...{ requestHash: "", createdAtMs: 1 },
  }));
  await admitRuns(on.context.db, [{ ...definition, ir: JSON.stringify(ir) }], rows);
  const finaliser = new Finaliser(on.context, 0);
  const ids = Array.from({ length: REMEMBERED - 1 }, (_, i) => `run-${i}`);
  await finaliser.finalise(blockOf(ids.map(started)));
  const ending = ["run-0", "old-1", "old-2"];
  const { changes } = await finaliser.finalise(blockOf(ending.flatMap(ended)));
  const outputs = changes.map(({ id, output }) => [id, output]);
  expect(outputs).toEqual(ending.map((id) => [id, JSON.stringify({ of: id })]));
});

it("knows a run that starts and ends in a block of more runs than it remembers", async () => {
  const finaliser = new Finaliser(on.context, 0);
  const ids = Array.from({ length: REMEMBERED + 1 }, (_, i) => `many-${i}`);
  const { changes } = await finaliser.finalise(blockOf([...ids.map(started), ...ended("many-0")]));
  expect(changes.find(({ id }) => id === "many-0")?.output).toBe('{"of":"many-0"}');
});
