import { afterAll, beforeAll, expect, it } from "vitest";
import type { Ir } from "../compiler/ir.ts";
import { blobRefOf, blobText, partitionKeys } from "../sdk/internal.ts";
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

const admit = async (ir: Ir, irHash: string, ids: readonly string[]): Promise<void> => {
  const definition = { hash: irHash, name: "chain", version: "1", source: null, createdAtMs: 1 };
  const rows = ids.map((id) => ({
    ...{ id, tenant: "", workflow: "chain", version: "1", irHash, partition: 0 },
    ...{ namespace: "", priority: "normal" as const, input: "null", idempotencyKey: null },
    ...{ requestHash: "", createdAtMs: 1 },
  }));
  await admitRuns(on.context.db, [{ ...definition, ir: JSON.stringify(ir) }], rows);
};

it("keeps the outputs of runs that end in the block at which it forgets what it remembers", async () => {
  const ir = chainIr(["a"]);
  // Rows of runs that a finaliser before this one has seen start.
  await admit(ir, IR, ["old-1", "old-2"]);
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

it("leaves the reference of a large output that does not fit beside a run's others", async () => {
  const two = chainIr(["a", "b"]);
  const terminal = (index: number): Ir["nodes"][number] => ({
    ...(two.nodes[index] as Ir["nodes"][number]),
    ...{ is_terminal: true, out: [] },
  });
  const ir = { ...two, nodes: [terminal(0), terminal(1)], edges: [] };
  await admit(ir, "hash-of-two", ["large"]);
  const texts = ["a", "b"].map((letter) => JSON.stringify(letter.repeat(30_000)));
  const { redis } = on.stack;
  const { run, blobs } = partitionKeys(0);
  for (const [node, text] of texts.entries()) {
    const ref = blobRefOf(text);
    await redis.hset(blobs("large"), { [ref.sha256]: text });
    await redis.hset(run("large"), { s: "completed", [`n${node}`]: `c1||${blobText(ref)}` });
  }
  const end = blockOf([{ r: "large", e: "run.completed" }]);
  const outputs = async (bytesMax: number): Promise<string | null | undefined> =>
    (await new Finaliser(on.context, 0, bytesMax).finalise(end)).changes[0]?.output;
  const reference = blobText(blobRefOf(texts[1] as string));
  expect(await outputs(70_000)).toBe(`{"a":${texts[0]},"b":${texts[1]}}`);
  expect(await outputs(50_000)).toBe(`{"a":${texts[0]},"b":${reference}}`);
});
