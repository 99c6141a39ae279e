/** `input_schema` and `output_schema` of nodes that no worker executes, through a whole engine. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, type Ir, type Json } from "../compiler/index.ts";
import { interpret } from "../compiler/reference/index.ts";
import { createClient, type Client } from "../sdk/index.ts";
import { misfit } from "../sdk/internal.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { waitFor } from "./support/index.ts";

let engine: Engine;
let client: Client;

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker();
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
  // A workflow is known from its first run on.
  await client.ended(await client.submit({ workflow: child }), { timeoutMs: 20_000 });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

type Entry = { [key: string]: Json };

const SMALL: Json = { type: "object", properties: { n: { type: "number" } }, required: ["n"] };
const NUMBERS: Json = { type: "array", items: { type: "number" } };
const child: Entry = { name: "child", nodes: [{ id: "c", type: "noop" }], edges: [] };
const body: Json = { id: "one", type: "noop" };

/** A workflow of one node of this kind. */
function single(node: Entry): Entry {
  return { name: `schema-${String(node["type"])}`, nodes: [{ id: "x", ...node }], edges: [] };
}

/** Each kind with its config, an input that fits its `input_schema`, and what it then puts out. */
const KINDS: readonly { node: Entry; schema: Json; fits: Json }[] = [
  { node: { type: "delay", config: { delay_ms: 1 } }, schema: SMALL, fits: { n: 1 } },
  { node: { type: "wait", config: { signal: "go" } }, schema: SMALL, fits: { n: 1 } },
  { node: { type: "human", config: { title: "?" } }, schema: SMALL, fits: { n: 1 } },
  { node: { type: "map", config: { do: body } }, schema: NUMBERS, fits: [1] },
  { node: { type: "subworkflow", config: { workflow: "child" } }, schema: SMALL, fits: { n: 1 } },
];

/** The code of the error with which a run ends, or its output. */
async function ends(document: Entry, input: Json, meanwhile?: (run: string) => Promise<void>) {
  const runId = await client.submit({ workflow: document, input });
  await meanwhile?.(runId);
  const row = await client.ended(runId, { timeoutMs: 20_000 });
  const error = JSON.parse(row.error ?? "null") as { code: string; message: string } | null;
  return error ?? { output: JSON.parse(row.output ?? "null") as Json };
}

/** The code with which the reference interpreter's run ends. */
function interpreted(document: Entry, input: Json, signals: readonly Json[] = []) {
  const ir = compile({ document }).ir as Ir;
  const { error } = interpret(ir, input, {
    handlers: { misfit, evaluate: (_, { data }) => ({ output: data }) },
    workflows: { child: compile({ document: child }).ir as Ir },
    signals: signals.map((value) => ({ name: "go", value })),
  });
  return error?.code;
}

describe("an input that does not fit input_schema", () => {
  it.each(KINDS)("fails a $node.type before it begins", async ({ node, schema }) => {
    const document = single({ ...node, input_schema: schema });
    const found = await ends(document, { n: "one" });
    expect(found).toMatchObject({ code: "BAD_INPUT" });
    expect(found).toMatchObject({ message: expect.stringContaining("input_schema") as string });
    // What a delay takes is its handler's business there.
    if (node["type"] !== "delay") expect(interpreted(document, { n: "one" })).toBe("BAD_INPUT");
  });
});

describe("an output that does not fit output_schema", () => {
  it.each(KINDS.filter(({ node }) => !["wait", "human"].includes(String(node["type"]))))(
    "fails a $node.type when it has ended",
    async ({ node, fits }) => {
      const document = single({ ...node, output_schema: { type: "string" } });
      const found = await ends(document, fits);
      expect(found).toMatchObject({ code: "BAD_OUTPUT" });
      if (node["type"] !== "delay") expect(interpreted(document, fits)).toBe("BAD_OUTPUT");
    },
  );

  it("fails a wait when its signal has come, and one that fits completes it", async () => {
    const { node } = KINDS[1] as (typeof KINDS)[number];
    const document = single({ ...node, output_schema: SMALL });
    const send = (value: Json) => (run: string) => client.signal(run, "go", value).then(() => {});
    expect(await ends(document, null, send({ n: "one" }))).toMatchObject({ code: "BAD_OUTPUT" });
    expect(await ends(document, null, send({ n: 1 }))).toEqual({ output: { n: 1 } });
    expect(interpreted(document, null, [{ n: "one" }])).toBe("BAD_OUTPUT");
  });

  it("fails an approval when it is decided", async () => {
    const properties = { data: { type: "string" } };
    const document = single({
      ...{ type: "human", config: { title: "?" } },
      output_schema: { type: "object", properties },
    });
    const approve = async (runId: string): Promise<void> => {
      const open = async () => (await client.approvals({ runId, state: "open" }))[0];
      const found = await waitFor(open, { describe: "no approval is open" });
      await client.decide(found.id, { approved: true, actor: "ada", data: 5 });
    };
    expect(await ends(document, null, approve)).toMatchObject({ code: "BAD_OUTPUT" });
  });
});
