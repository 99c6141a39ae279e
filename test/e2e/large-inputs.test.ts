/**
 * What is given to a run from outside and is large: by reference in Redis, journal and row, whole for
 * whoever reads it, through loss, sleep and damage; gone when nothing refers to it.
 */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../../compiler/ir.ts";
import { createClient, type Client } from "../../sdk/index.ts";
import { globalKeys, OUTPUT_INLINE_BYTES_MAX, partitionKeys } from "../../sdk/internal.ts";
import {
  collectBlobs,
  deleteTrees,
  FIRST_BLOB,
  listRuns,
  readBlobs,
  readRun,
} from "../../sdk/postgres/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";
import { emptyRedis, waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
const keys = partitionKeys(0);

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker();
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const REFERENCE = /^\{"\$gv:blob":"[0-9a-f]{64}:\d+"\}$/;
const big = "0123456789".repeat(20_000);
const echo = (id: string, params?: object): object => ({
  ...{ id, type: "function" },
  config: { function_name: "builtin.echo", ...(params && { params }) },
});
const edges = (...pairs: string[]): object[] =>
  pairs.map((pair) => ({ from: pair.split(">")[0], to: pair.split(">")[1] }));
const hashOf = (value: Json): string =>
  createHash("sha256").update(JSON.stringify(value)).digest("hex");

async function outputOf(runId: string): Promise<Json> {
  const row = await engine.ended(runId);
  expect(row.error).toBeNull();
  return JSON.parse(row.output ?? "null") as Json;
}

/** The archived journal of a run and its children. */
async function journalOf(runId: string): Promise<string> {
  const rows = await engine.db.query<{ transitions: string }>(
    {
      name: "test_journal",
      text: "SELECT transitions FROM journal WHERE split_part(run_id, '~', 1) = $1",
    },
    [runId],
  );
  return rows.map(({ transitions }) => transitions).join();
}

/** A signal, then the text's length as an expression reads it from the run's input. */
const gated = (name: string): object => ({
  name,
  nodes: [
    { id: "gate", type: "wait", config: { signal: "go" } },
    echo("size", { size: "${size(input.text)}" }),
  ],
  edges: edges("gate>size"),
});

describe("an input over the inline limit", () => {
  it("reaches start nodes, conditions, a map's body, a child and the output whole", async () => {
    await publish(engine.db, {
      metadata: { name: "large-child", version: "1" },
      nodes: [echo("start"), echo("named", { size: "${size(input.text)}" })],
      edges: edges("start>named"),
      output: { start: "${size(ctx.start.output.text)}", named: "${ctx.named.output.size}" },
    });
    const each = { items: "[1, 2]", do: echo("seen", { size: "${size(input.text) + item}" }) };
    const workflow = {
      name: "large-input",
      nodes: [
        echo("first"),
        echo("second", { n: 1 }),
        { id: "each", type: "map", config: each },
        { id: "child", type: "subworkflow", config: { workflow: "large-child" } },
      ],
      edges: [
        { from: "first", to: "each", condition: "size(input.text) > 100000" },
        { from: "first", to: "child", condition: "size(output.text) == size(input.text)" },
      ],
      output: {
        second: "${ctx.second.output.n}",
        each: "${ctx.each.output}",
        child: "${ctx.child.output}",
        size: "${size(input.text)}",
      },
    };
    const id = await engine.submit({ workflow, input: { text: big } });
    expect(await outputOf(id)).toEqual({
      second: 1,
      each: [{ size: 200_001 }, { size: 200_002 }],
      child: { start: 200_000, named: 200_000 },
      size: 200_000,
    });
    const [child] = await listRuns(engine.db, { parent: id, limit: 1 });
    const rows = [await readRun(engine.db, id), child];
    expect(rows.map((row) => row?.input)).toEqual([
      expect.stringMatching(REFERENCE),
      expect.stringMatching(REFERENCE),
    ]);
    expect((await journalOf(id)).length).toBeLessThan(10_000);
  });

  it("stands where it is up to the limit, and beside the run above it", async () => {
    for (const [bytes, pattern] of [
      [OUTPUT_INLINE_BYTES_MAX, /^"x/],
      [OUTPUT_INLINE_BYTES_MAX + 1, REFERENCE],
    ] as const) {
      const input = "x".repeat(bytes - 2);
      const workflow = {
        ...gated("border"),
        nodes: [echo("size", { same: "${input}" })],
        edges: [],
      };
      const id = await engine.submit({ workflow, input });
      expect(await outputOf(id)).toEqual({ same: input });
      expect((await readRun(engine.db, id))?.input).toMatch(pattern);
    }
  });

  it("that looks like a reference is data like any other", async () => {
    const input = { "$gv:blob": `${"a".repeat(64)}:5` };
    const workflow = { name: "impostor", nodes: [echo("a"), echo("b", { v: "${input}" })] };
    const id = await engine.submit({ workflow: { ...workflow, edges: [] }, input });
    expect(await outputOf(id)).toEqual({ a: input, b: { v: input } });
  });

  it("outlives a Redis that has lost everything", async () => {
    const workflow = {
      name: "lost-input",
      nodes: [
        { id: "slow", type: "delay", config: { delay_ms: 2500 } },
        echo("size", { size: "${size(input.text)}" }),
      ],
      edges: edges("slow>size"),
    };
    const id = await engine.submit({ workflow, input: { text: big } });
    await waitFor(async () => (await client.status(id)).nodes["slow"]?.status === "waiting");
    expect(await engine.redis.hget(keys.run(id), "in")).toMatch(REFERENCE);
    await emptyRedis(engine.redis);
    expect(await outputOf(id)).toEqual({ size: 200_000 });
  });

  it("goes when nothing refers to it any more", async () => {
    const input = { text: `${big}!` };
    const workflow = { name: "over", nodes: [echo("size", { size: "${size(input.text)}" })] };
    const id = await engine.submit({ workflow: { ...workflow, edges: [] }, input });
    await outputOf(id);
    await waitFor(async () => (await engine.redis.exists(keys.run(id), keys.blobs(id))) === 0);
    const later = Number.MAX_SAFE_INTEGER;
    const collect = (): Promise<unknown> => collectBlobs(engine.db, later, FIRST_BLOB, 1000);
    const kept = async (): Promise<number> => (await readBlobs(engine.db, [hashOf(input)])).size;
    await collect();
    expect(await kept()).toBe(1);
    const rule = { endedBeforeMs: later, lettersBeforeMs: 0 };
    expect(await deleteTrees(engine.db, rule, [id])).toEqual([id]);
    await collect();
    expect(await kept()).toBe(0);
  });

  it("that was tampered with fails the node that reads it, and says so", async () => {
    const input = { text: `${big}?` };
    const id = await engine.submit({ workflow: gated("tampered-input"), input });
    await waitFor(async () => (await client.status(id)).nodes["gate"]?.status === "waiting");
    await engine.redis.hset(keys.blobs(id), hashOf(input), '{"text":"forged"}');
    await client.signal(id, "go", null);
    const row = await engine.ended(id);
    expect(JSON.parse(row.error ?? "{}")).toMatchObject({ code: "BLOB_DAMAGED" });
  });
});

describe("what a run is given on its way, over the inline limit", () => {
  const wait = (id: string, signal: string): object => ({ id, type: "wait", config: { signal } });
  const line = (name: string, nodes: object[]): object => {
    const ids = nodes.map((node) => (node as { id: string }).id);
    return { name, nodes, edges: ids.slice(1).map((to, i) => ({ from: ids[i], to })) };
  };
  const text = (char: string): string => char.repeat(50_000);
  const tokenOf = (id: string, node: string): Promise<string> =>
    waitFor(async () => (await client.status(id)).nodes[node]?.wait?.token, {
      describe: `${node} does not wait`,
    });

  it("signals, callbacks and decisions are whole for who reads them, also after a loss", async () => {
    const workflow = {
      ...line("answers", [
        wait("first", "begin"),
        wait("kept", "go"),
        wait("back", "never"),
        { id: "ask", type: "human", config: { title: "Ship?", required: 2 } },
        echo("last", { sizes: ["${size(ctx.kept.output)}", "${size(ctx.back.output)}"] }),
      ]),
      output: { sizes: "${ctx.last.output.sizes}", ask: "${ctx.ask.output}" },
    };
    const id = await client.submit({ workflow: workflow as never });
    await tokenOf(id, "first");
    expect(await client.signal(id, "go", text("s"))).toMatchObject({ outcome: "kept" });
    expect((await engine.redis.hget(keys.signals(id), "p1"))?.length).toBeLessThan(300);
    await waitFor(async () => (await journalOf(id)).includes("signal.kept"));
    await emptyRedis(engine.redis);
    await client.signal(id, "begin", null);
    await client.callback(await tokenOf(id, "back"), text("c").slice(1));
    const approval = await tokenOf(id, "ask");
    await client.decide(approval, { approved: true, actor: "ann", data: text("a") });
    await client.decide(approval, { approved: true, actor: "bob", data: "small" });
    expect(await outputOf(id)).toEqual({
      sizes: [50_000, 49_999],
      ask: { approved: true, by: ["ann", "bob"], data: [text("a"), "small"] },
    });
    const [told] = await client.approvals({ runId: id });
    expect(told?.decisions.map(({ data }) => data)).toEqual([text("a"), "small"]);
    expect((await journalOf(id)).length).toBeLessThan(10_000);
  });

  it("a node is completed, and tried again on another input, by hand", async () => {
    const again = { ...echo("again"), retry: { max_attempts: 3, backoff_ms: 600_000 } };
    const config = { function_name: "builtin.fail", params: { attempts: 1 } };
    const workflow = line("by-hand", [wait("given", "never"), { ...again, config }, echo("last")]);
    const id = await client.submit({ workflow: workflow as never });
    await tokenOf(id, "given");
    const complete = { action: "complete", output: text("o"), by: "ann" } as const;
    await client.operations.intervene(id, "given", complete);
    await waitFor(async () => (await client.status(id)).nodes["again"]?.status === "retrying");
    await client.operations.intervene(id, "again", {
      action: "retry",
      input: text("i"),
      by: "ann",
    });
    expect(await outputOf(id)).toBe(text("i"));
    const { nodes } = await client.status(id);
    expect(nodes["given"]?.output).toBe(text("o"));
    expect((await journalOf(id)).length).toBeLessThan(10_000);
  });

  it("a redrive has another input, inputs and outputs of nodes, and outlives a loss", async () => {
    const broken = (id: string): object => ({
      ...{ id, type: "function", config: { function_name: "builtin.fail" } },
    });
    const workflow = {
      name: "redriven",
      nodes: [
        broken("set"),
        echo("tried", { missing: "${data.text}" }),
        wait("gate", "go"),
        echo("last", {
          sizes: ["${size(ctx.set.output)}", "${size(ctx.tried.output.missing)}", "${size(input)}"],
        }),
      ],
      edges: edges("set>gate", "tried>gate", "gate>last"),
      settings: { failure: "continue" },
    };
    const id = await client.submit({ workflow: workflow as never, input: "small" });
    expect(await engine.ended(id)).toMatchObject({ status: "FAILED" });
    await client.operations.redrive(id, {
      ...{ set: { set: text("o") }, inputs: { tried: { text: text("i").slice(1) } } },
      ...{ input: text("r").slice(2), by: "ann" },
    });
    await tokenOf(id, "gate");
    expect((await readRun(engine.db, id))?.input).toMatch(REFERENCE);
    await emptyRedis(engine.redis);
    await client.signal(id, "go", null);
    expect(await outputOf(id)).toEqual({ sizes: [50_000, 49_999, 49_998] });
    expect((await journalOf(id)).length).toBeLessThan(10_000);
  });

  it("elements of a map are whole in the map, and outlive a loss", async () => {
    const params = { item: "${size(item)}", own: "${size(ctx.own.output)}" };
    const body = {
      nodes: [echo("own"), wait("gate", "go"), echo("seen", params)],
      edges: edges("own>gate", "gate>seen"),
    };
    const config = { items: "${input.texts}", do: body, max_concurrency: 2 };
    const workflow = line("items", [{ id: "each", type: "map", config }]);
    const texts = [1, 2, 3].map((n) => String(n).repeat(30_000 + n));
    const id = await client.submit({ workflow: workflow as never, input: { texts } });
    const parked = async (): Promise<number> => (await journalOf(id)).split("node.parked").length;
    await waitFor(async () => (await parked()) === 3);
    expect(await engine.redis.hget(keys.run(`${id}!0`), "x2")).toMatch(REFERENCE);
    await emptyRedis(engine.redis);
    await waitFor(async () => (await engine.redis.exists(globalKeys.deployment)) === 1);
    for (const _ of texts) {
      await client.signal(id, "go", null);
    }
    const sizes = texts.map(({ length }) => ({ item: length, own: length }));
    expect(await outputOf(id)).toEqual(sizes);
    expect((await journalOf(id)).length).toBeLessThan(10_000);
  });
});

it("a large input sleeps and wakes with its run", async () => {
  const sleepy = await startEngine({ hibernateAfterMs: 200 });
  const sender = await createClient({ redisUrl: sleepy.redisUrl, database: sleepy.db });
  try {
    await sleepy.worker();
    const id = await sleepy.submit({ workflow: gated("sleeps"), input: { text: big } });
    await waitFor(
      async () => {
        const row = await readRun(sleepy.db, id);
        const isThere = await sleepy.redis.exists(keys.run(id), keys.blobs(id));
        return typeof row?.asleepSinceMs === "number" && isThere === 0;
      },
      { timeoutMs: 20_000, describe: "the run does not fall asleep" },
    );
    await sender.signal(id, "go", null);
    const row = await sleepy.ended(id);
    expect(JSON.parse(row.output ?? "null")).toEqual({ size: 200_000 });
  } finally {
    await sender.close();
    await sleepy.stop();
  }
});
