import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { compile, type Ir, type Json } from "../compiler/index.ts";
import {
  blobRefOf,
  blobRefsIn,
  blobText,
  BlobTaker,
  needsOf,
  systemClock,
  type Transition,
} from "../sdk/internal.ts";
import { Chains } from "./chains.ts";
import { leftToUndo, type CompensationStep, type LeftToUndo } from "./compensation-steps.ts";
import { undoingOf, type MadeToUndo } from "./compensation-workflow.ts";

const MIB = 1024 * 1024;
const making = {
  ...{ logger: pino({ level: "silent" }), clock: systemClock },
  chains: new Chains(),
};
const node = { id: "a", type: "function", config: { function_name: "builtin.echo" } };
const irOf = (document: Json): Ir => compile({ document }).ir as Ir;
const ir = irOf({ metadata: { name: "w" }, nodes: [node], edges: [] });
const step: CompensationStep = {
  ...{ node: "a", scope: "", home: "", functionName: "undo", queue: "default" },
  ...{ given: "null", hasParams: false },
};

/** What undoes these steps, its workflow, and the large values that it begins with. */
async function made(
  steps: CompensationStep[],
  of = ir,
  left: Partial<LeftToUndo> = {},
): Promise<{ run: MadeToUndo; chain: Ir; large: BlobTaker }> {
  const large = new BlobTaker();
  const all = { steps, count: steps.length, bytes: 0, ...left };
  const run = (await undoingOf(making, of, "r", all, large)) as MadeToUndo;
  return { run, chain: JSON.parse(run.definition.ir) as Ir, large };
}
const copies = (count: number, given = "null"): CompensationStep[] =>
  Array.from({ length: count }, (_, i) => ({ ...step, given: given.replace("#", String(i)) }));

it("what cannot be undone whole is a run of one step, which fails and says why", async () => {
  const [only, ...more] = (await made([step], ir, { count: 10_001 })).chain.nodes;
  expect(more).toEqual([]);
  const message = "nothing is undone: the run has left 10001 steps to undo, more than the 10000";
  expect(only?.config).toMatchObject({
    ...{ function_name: "builtin.fail", params: { message: expect.stringContaining(message) } },
  });
  const large = await made([step], ir, { bytes: 64 * MIB + 1 });
  const tooLarge = large.chain.nodes[0]?.config["params"];
  expect(JSON.stringify(tooLarge)).toContain("given has more than the 67108864 bytes of one run");
});

it("what can be is a step each", async () => {
  const { chain, run } = await made(copies(3));
  const names = chain.nodes.map(({ config }) => config["function_name"]);
  expect(names).toEqual(["undo", "undo", "undo"]);
  expect(run.start).toBe(null);
});

it("is made of a workflow that was stored with names which are none any more", async () => {
  const name = `a@b\u0007${"\u{1f600}".repeat(200)}`;
  const { definition } = (await made([step], { ...ir, name, workflow_version: "1@2" })).run;
  expect(definition.name).toBe(`a-b-${"\u{1f600}".repeat(133)}:compensation`);
  expect(definition.version).toBe("1-2");
});

it("tells why a step cannot be undone, whatever the reason is made of", async () => {
  const { chain } = await made([{ ...step, problem: "no \u0000 and no \ud800" }]);
  expect(chain.nodes[0]?.config).toMatchObject({ params: { message: "no - and no -" } });
});

/** Bytes that each step reads of its run, which begins with these fields. */
function readBySteps({ run, chain }: Awaited<ReturnType<typeof made>>): number[] {
  const start = JSON.parse(run.start ?? "{}") as { [field: string]: string };
  const fields: { [field: string]: string } = { in: run.input, ...start };
  const bytesOf = (name: string): number => {
    const [ref] = blobRefsIn([[name, fields[name] ?? null]]);
    return ref?.bytes ?? fields[name]?.length ?? 0;
  };
  return chain.nodes.flatMap(({ id }, index) =>
    id.startsWith("undo-")
      ? needsOf(chain, index).context.reduce((sum, name) => sum + bytesOf(name), 0)
      : [],
  );
}

it("each step of a large one reads a part of what all are given, and not all of it", async () => {
  const bytes = readBySteps(await made(copies(1000, `"#${"x".repeat(2000)}"`)));
  expect(bytes.length).toBe(1000);
  expect(Math.min(...bytes)).toBeGreaterThan(2000);
  expect(Math.max(...bytes)).toBeLessThanOrEqual(64 * 1024 + 100);
});

describe("what a run has left to undo", () => {
  const compensate = { function_name: "undo", params: { k: "${input.k}" } };
  const rounds = irOf({
    metadata: { name: "w" },
    nodes: [
      { ...node, compensate },
      { ...node, id: "b", compensate: "undo" },
    ],
    edges: [{ from: "a", to: "b" }],
  });
  const texts = new Map<string, string>();
  const reads: string[] = [];
  const blob = (text: string): string => {
    const ref = blobRefOf(text);
    texts.set(ref.sha256, text);
    return blobText(ref);
  };
  const completed = (n: number, output = "1"): Transition => ({
    ...{ r: "r", e: "node.completed", n, s: "", a: 1, x: "" },
    o: JSON.parse(output) as Json,
  });
  const left = (input: string, told: readonly Transition[]): Promise<LeftToUndo> => {
    reads.length = 0;
    return leftToUndo(rounds, { id: "r", input }, told, ({ sha256 }) => {
      reads.push(sha256);
      return Promise.resolve(texts.get(sha256) ?? null);
    });
  };

  it("is worked out with each large value read once, those that matter", async () => {
    const input = blob(JSON.stringify({ k: 7, x: "x".repeat(MIB) }));
    const output = blob(JSON.stringify("y".repeat(MIB)));
    const many = Array.from({ length: 50 }, () => completed(0, output));
    const { steps } = await left(input, [...many, completed(1)]);
    expect(steps.map(({ given }) => given)).toEqual([...many.map(() => '{"k":7}'), "1"]);
    expect(reads).toEqual([blobRefOf(texts.get(reads[0] ?? "") ?? "").sha256]);
    expect(blobText(blobRefOf(texts.get(reads[0] ?? "") ?? ""))).toBe(input);
  });

  it("is read as far as one run may be given, and counted to its end", async () => {
    const output = blob(JSON.stringify("z".repeat(15 * MIB)));
    const { steps, count, bytes } = await left(
      "{}",
      Array.from({ length: 10 }, () => completed(1, output)),
    );
    expect(reads.length).toBe(4);
    expect(count).toBe(10);
    expect(bytes).toBeGreaterThan(64 * MIB);
    expect(steps.length).toBe(5);
    const most = await left(
      "{}",
      Array.from({ length: 10_050 }, () => completed(1)),
    );
    expect([most.steps.length, most.count]).toEqual([10_000, 10_050]);
  });
});
