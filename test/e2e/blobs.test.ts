/** Large outputs through a whole engine: by reference in Redis and journal, whole for everybody else. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { outputIn, parseBlobText, partitionKeys, type BlobRef } from "../../sdk/internal.ts";
import { compensationOf } from "../../sdk/postgres/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { allKeys, emptyRedis, waitFor } from "../support/index.ts";

let engine: Engine;
const keys = partitionKeys(0);

beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.stop());

const big = "0123456789".repeat(10_000);
const echo = (id: string, params: object): object => ({
  ...{ id, type: "function", config: { function_name: "builtin.echo", params } },
});

/** `make` puts out 100 kB; the others read it as input, by reference, through a join and a loop. */
const workflow = {
  name: "large",
  nodes: [
    echo("make", { text: "${input.text}", n: 1 }),
    { id: "plain", type: "function", config: { function_name: "builtin.echo" } },
    echo("named", { size: "${size(ctx.make.output.text)}" }),
    echo("joined", { left: "${data.plain.n}", right: "${data.named.size}" }),
    { id: "slow", type: "delay", config: { delay_ms: 50 } },
    echo("last", { again: "${ctx.make.output}" }),
  ],
  edges: [
    { from: "make", to: "plain", condition: "size(output.text) > 1000" },
    { from: "make", to: "named" },
    { from: "plain", to: "joined" },
    { from: "named", to: "joined" },
    { from: "joined", to: "slow" },
    { from: "slow", to: "last" },
  ],
};

describe("outputs over the inline limit", () => {
  it("C7: reach every reader whole, and leave nothing behind", async () => {
    await engine.worker();
    const id = await engine.submit({ workflow, input: { text: big } });
    const row = await engine.ended(id);
    expect(row).toMatchObject({ status: "COMPLETED" });
    expect(JSON.parse(row.output ?? "null")).toEqual({ again: { text: big, n: 1 } });
    const segments = await engine.db.query<{ length: number; blobs: number }>(
      {
        name: "test_sizes",
        text: `SELECT sum(length(transitions))::int AS length,
        (SELECT count(*)::int FROM run_blobs WHERE run_id = $1) AS blobs
        FROM journal WHERE run_id = $1`,
      },
      [id],
    );
    expect(segments[0]?.length).toBeLessThan(10_000);
    // The input; `make` and `plain` put out the same, `last` something else.
    expect(segments[0]?.blobs).toBe(3);
    await waitFor(async () => (await engine.redis.exists(keys.run(id), keys.blobs(id))) === 0);
  });

  it("elements of a map put out large values, and the map's list is whole", async () => {
    const step = { type: "function", config: { function_name: "builtin.echo" } };
    const document = {
      name: "large-map",
      nodes: [
        {
          ...{ id: "each", type: "map" },
          config: { items: "${input.texts}", do: step, max_concurrency: 2 },
        },
        echo("sizes", { sizes: "${data.map(text, size(text))}" }),
      ],
      edges: [{ from: "each", to: "sizes" }],
    };
    const texts = [1, 2, 3, 4].map((n) => String(n).repeat(20_000 + n));
    const id = await engine.submit({ workflow: document, input: { texts } });
    const row = await engine.ended(id);
    expect(row.error).toBeNull();
    expect(JSON.parse(row.output ?? "null")).toEqual({ sizes: [20001, 20002, 20003, 20004] });
    await waitFor(async () => {
      const left = await allKeys(engine.redis, `${keys.run(id)}*`);
      return left.length === 0;
    });
  });

  it("what a map's body names of outside is kept beside the run, and outlives Redis", async () => {
    const body = {
      nodes: [
        { id: "slow", type: "delay", config: { delay_ms: 2000 } },
        {
          ...echo("seen", { size: "${size(ctx.make.output.text) + item}" }),
          compensate: { function_name: "builtin.echo", params: { n: "${ctx.make.output.n}" } },
        },
      ],
      edges: [{ from: "slow", to: "seen" }],
    };
    const map = { id: "each", type: "map", config: { items: "[1, 2, 3]", do: body } };
    const boom = { id: "boom", type: "function", config: { function_name: "builtin.fail" } };
    const document = {
      ...{ name: "names", nodes: [echo("make", { text: "${input.text}", n: 1 }), map, boom] },
      edges: [
        { from: "make", to: "each" },
        { from: "each", to: "boom" },
      ],
    };
    const id = await engine.submit({ workflow: document, input: { text: big } });
    const archived = async (what: string): Promise<string> =>
      waitFor(
        async () => {
          const rows = await engine.db.query<{ transitions: string }>(
            { name: "test_told", text: "SELECT transitions FROM journal WHERE run_id = $1" },
            [id],
          );
          const text = rows.map(({ transitions }) => transitions).join();
          return text.includes(what) ? text : undefined;
        },
        { describe: `${what} is not archived` },
      );
    expect((await archived("node.parked")).length).toBeLessThan(10_000);
    expect(await engine.redis.hget(keys.run(`${id}!1`), "vars")).toMatch(/^\{"\$gv:blob":/);
    await emptyRedis(engine.redis);
    expect(await engine.ended(id)).toMatchObject({ status: "FAILED" });
    const told = await archived("run.failed");
    expect(new Set(told.match(/"size":10000\d/g))).toEqual(
      new Set([1, 2, 3].map((n) => `"size":10000${n}`)),
    );
    const undone = await waitFor(async () => (await compensationOf(engine.db, id)) ?? undefined);
    const { input } = await engine.ended(undone.id);
    expect(JSON.parse(input)).toMatchObject({ steps: [1, 2, 3].map(() => ({ params: { n: 1 } })) });
  });

  it("one that is an impostor's reference is data like any other", async () => {
    const fake = { "$gv:blob": `${"a".repeat(64)}:5` };
    const one = { name: "fake", nodes: [echo("a", { v: 1 }), echo("b", { v: "${data}" })] };
    const nodes = [{ ...echo("a", {}), config: { function_name: "builtin.echo", params: fake } }];
    const document = { ...one, nodes: [...nodes, one.nodes[1]], edges: [{ from: "a", to: "b" }] };
    const row = await engine.ended(await engine.submit({ workflow: document }));
    expect(JSON.parse(row.output ?? "null")).toEqual({ v: fake });
  });

  it("one that was tampered with fails the node that reads it, and says so", async () => {
    const waits = {
      name: "tampered",
      nodes: [
        echo("make", { text: "${input.text}" }),
        { id: "slow", type: "delay", config: { delay_ms: 600 } },
        echo("last", { size: "${size(ctx.make.output.text)}" }),
      ],
      edges: [
        { from: "make", to: "slow" },
        { from: "slow", to: "last" },
      ],
    };
    const id = await engine.submit({ workflow: waits, input: { text: big } });
    const record = await waitFor(async () => {
      const found = await engine.redis.hget(keys.run(id), "n0");
      return found?.startsWith("c") === true ? found : undefined;
    });
    const { sha256 } = parseBlobText(outputIn("n0", record)) as BlobRef;
    await engine.redis.hset(keys.blobs(id), sha256, '{"text":"forged"}');
    const row = await engine.ended(id);
    expect(row.status).toBe("FAILED");
    expect(JSON.parse(row.error ?? "{}")).toMatchObject({ code: "BLOB_DAMAGED" });
  });

  it("survive a Redis that has lost everything", async () => {
    const waits = {
      ...workflow,
      name: "lost",
      nodes: workflow.nodes.map((node) =>
        (node as { id: string }).id === "slow"
          ? { id: "slow", type: "delay", config: { delay_ms: 3000 } }
          : node,
      ),
    };
    const id = await engine.submit({ workflow: waits, input: { text: big } });
    await waitFor(async () => {
      const rows = await engine.db.query<{ n: number }>(
        {
          name: "test_parked",
          text: `SELECT count(*)::int AS n FROM journal
          WHERE run_id = $1 AND transitions LIKE '%node.parked%'`,
        },
        [id],
      );
      return rows[0]?.n === 1;
    });
    const epoch = await engine.redis.hget(keys.meta, "epoch");
    await emptyRedis(engine.redis);
    await waitFor(async () => {
      const now = await engine.redis.hget(keys.meta, "epoch");
      return now !== null && now !== epoch;
    });
    const row = await engine.ended(id);
    expect(JSON.parse(row.output ?? "null")).toEqual({ again: { text: big, n: 1 } });
  });
});
