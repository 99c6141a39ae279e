/** Limits in a whole engine: how often nodes of a key begin, measured by their handlers. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../compiler/ir.ts";
import { createClient, type Client } from "../sdk/index.ts";
import { defineFunction } from "../sdk/define-function.ts";
import { globalKeys, rateKey } from "../sdk/internal.ts";
import { readJournal } from "../sdk/postgres/index.ts";
import { createHttpClient, FunctionRegistry } from "../worker/index.ts";
import { explainRun } from "../supervisor/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { waitFor } from "./support/index.ts";

let engine: Engine;
let client: Client;
let server: Server;
const begun = new Map<string, { atMs: number; name: Json }[]>();
const asked: number[] = [];
/** Requests to /parked: the first is answered with 429 as soon as the second is parked. */
const parkedAsked: number[] = [];
let answerParked: Promise<void> = Promise.resolve();

beforeAll(async () => {
  engine = await startEngine();
  const note = defineFunction<{ log: string; name: Json }>("note", ({ params }) => {
    const list = begun.get(params.log) ?? [];
    list.push({ atMs: performance.now(), name: params.name });
    begun.set(params.log, list);
    return params.name;
  });
  const registry = new FunctionRegistry([note]);
  const http = createHttpClient({ allow: ["127.0.0.1"] });
  await engine.worker({ registry, http });
  await engine.worker({ registry, http });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
  server = createServer((request, response) => {
    if (request.url === "/parked") {
      parkedAsked.push(performance.now());
      const status = parkedAsked.length === 1 ? 429 : 200;
      void answerParked.then(() => response.writeHead(status, { "retry-after": "2" }).end("{}"));
      return;
    }
    asked.push(performance.now());
    response.writeHead(asked.length === 1 ? 429 : 200, { "retry-after": "1" }).end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  server.close();
  await client.close();
  await engine.stop();
});

const note = (id: string, log: string, more: object = {}): object => ({
  id,
  type: "function",
  config: { function_name: "note", params: { log, name: "${input.name}" } },
  ...more,
});

function submit(workflow: object, input: object = {}): Promise<string> {
  return client.submit({ workflow: workflow as never, input: input as never });
}

/**
 * When what was parked of a run is to begin. How long is asked for first and counted from when the
 * token is parked, so on a busy machine it is later than what was reserved; never earlier.
 */
async function dueTimes(runId: string): Promise<number[]> {
  const journal = await readJournal(engine.db, runId);
  return journal.flatMap(({ transition: { e, due } }) =>
    e === "node.parked" && due !== undefined ? [due] : [],
  );
}

/** Each has a start of its own: the k-th after the first is k intervals after it, or later. */
async function expectApart(first: string, dues: readonly number[], everyMs: number): Promise<void> {
  const [started] = await readJournal(engine.db, first);
  const fromMs = started?.t ?? Infinity;
  const early = [...dues]
    .sort((a, b) => a - b)
    .filter((dueMs, i) => dueMs < fromMs + (i + 1) * everyMs);
  expect(early).toEqual([]);
}

describe("rate_limit of a node", () => {
  it("starts of one key keep their distance over runs, workflows and workers, in order", async () => {
    const rate_limit = { key: "api-${input.tenant}", limit: 2, per_ms: 1000 };
    const one = { name: "one", nodes: [note("a", "kept", { rate_limit })], edges: [] };
    const two = { name: "two", nodes: [note("b", "kept", { rate_limit })], edges: [] };
    const ids: string[] = [];
    const hasPlace = async (id: string, name: number): Promise<boolean> => {
      const { nodes } = await client.status(id);
      const isParked = Object.values(nodes).some(({ wait }) => wait !== undefined);
      return isParked || begun.get("kept")?.some((start) => start.name === name) === true;
    };
    for (let i = 0; i < 6; i++) {
      const id = await submit(i % 2 === 0 ? one : two, { tenant: "t", name: i });
      // Two workers read: the order is that in which they have asked for a start.
      await waitFor(() => hasPlace(id, i), { describe: "it has no place" });
      ids.push(id);
    }
    const rows = await Promise.all(ids.map((id) => client.ended(id, { timeoutMs: 20_000 })));
    expect(rows.map((row) => row.status)).toEqual(rows.map(() => "COMPLETED"));
    const starts = begun.get("kept") ?? [];
    expect(starts.map(({ name }) => name)).toEqual([0, 1, 2, 3, 4, 5]);
    const dues = (await Promise.all(ids.map(dueTimes))).flat();
    expect(dues).toHaveLength(5);
    await expectApart(ids[0] as string, dues, 500);
  });

  it("a token that waits for its start says so, and holds no worker", async () => {
    const rate_limit = { key: "shown-${input.tenant}", limit: 1, per_ms: 60_000 };
    const workflow = { name: "shown", nodes: [note("a", "shown", { rate_limit })], edges: [] };
    const input = { tenant: "t", name: 1 };
    await client.ended(await submit(workflow, input), { timeoutMs: 10_000 });
    const second = await submit(workflow, input);
    const wait = await waitFor(async () => (await client.status(second)).nodes["a"]?.wait, {
      describe: "the token is not parked",
    });
    expect(wait).toMatchObject({ for: "rate_limit", key: "shown-t" });
    const { reasons } = await explainRun({
      ...{ redis: engine.redis, partition: 0, runId: second },
      irOf: (hash) => client.irOf(hash),
    });
    expect(reasons.map(({ text }) => text)).toEqual([
      expect.stringMatching(/^waiting for a slot of rate limit shown-\$\{.+\} until 2\d{3}-/),
    ]);
    await client.cancel(second);
    expect(begun.get("shown")).toHaveLength(1);
  });

  it("in a chain and in a map each execution reserves its own start", async () => {
    const rate_limit = { key: "inner", limit: 10, per_ms: 1000 };
    const nodes = [
      note("first", "inner", { rate_limit }),
      note("second", "inner", { rate_limit }),
      {
        id: "each",
        type: "map",
        config: { items: "[1, 2, 3]", do: note("item", "inner", { rate_limit }) },
      },
    ];
    const edges = [
      { from: "first", to: "second" },
      { from: "second", to: "each" },
    ];
    const id = await submit({ name: "inner", nodes, edges }, { name: 1 });
    expect((await client.ended(id, { timeoutMs: 20_000 })).status).toBe("COMPLETED");
    expect(begun.get("inner")).toHaveLength(5);
    const dues = await dueTimes(id);
    expect(dues.length).toBeGreaterThanOrEqual(3);
    await expectApart(id, dues, 100);
  });

  it("that Redis has lost begins anew, and keeps nobody in a worker", async () => {
    const workflow = (tenant: string): object => {
      const rate_limit = { key: `lost-${tenant}`, per_hour: 1 };
      return { name: "lost", nodes: [note("a", "lost", { rate_limit })], edges: [] };
    };
    // As many as it takes for one to come to the worker that began it before.
    const tenants = ["a", "b", "c", "d"];
    const all = async (): Promise<string[]> => {
      const ids = await Promise.all(tenants.map((name) => submit(workflow(name), { name })));
      const rows = await Promise.all(ids.map((id) => client.ended(id, { timeoutMs: 15_000 })));
      return rows.map((row) => row.status);
    };
    expect(await all()).toEqual(tenants.map(() => "COMPLETED"));
    for (const tenant of tenants) {
      const key = rateKey("", `lost-${tenant}`, "");
      expect(await engine.redis.del(key, globalKeys.rateBegun(key))).toBe(2);
    }
    expect(await all()).toEqual(tenants.map(() => "COMPLETED"));
  });

  it("a key that cannot be evaluated fails the node with BAD_INPUT", async () => {
    const rate_limit = { key: "${input.not.there}", limit: 1, per_ms: 10 };
    const id = await submit({ name: "bad", nodes: [note("a", "bad", { rate_limit })], edges: [] });
    const row = await client.ended(id, { timeoutMs: 10_000 });
    expect(JSON.parse(row.error ?? "{}")).toMatchObject({ code: "BAD_INPUT", node: "a" });
  });

  it("after an answer 429 all of the key wait as long as the server asks for", async () => {
    const { port } = server.address() as AddressInfo;
    const call = (id: string, more: object): object => ({
      ...{ id, type: "http", config: { url: `http://127.0.0.1:${port}/` } },
      ...{ rate_limit: { key: "cool", limit: 100, per_ms: 1000 }, ...more },
    });
    const retry = { max_attempts: 2 };
    const one = await submit({ name: "cool", nodes: [call("a", { retry })], edges: [] });
    await waitFor(async () => (await client.status(one)).nodes["a"]?.status === "retrying", {
      describe: "the first request is not answered with 429",
    });
    const two = await submit({ name: "cooler", nodes: [call("b", {})], edges: [] });
    for (const id of [one, two]) {
      expect((await client.ended(id, { timeoutMs: 10_000 })).status).toBe("COMPLETED");
    }
    expect(asked).toHaveLength(3);
    expect((asked[1] ?? 0) - (asked[0] ?? 0)).toBeGreaterThan(900);
  });

  it("an answer 429 also holds what is parked with a start of that key, and it starts after that", async () => {
    let answer = (): void => undefined;
    answerParked = new Promise((resolve) => (answer = resolve));
    const { port } = server.address() as AddressInfo;
    const call = (id: string, more: object = {}): object => ({
      ...{ id, type: "http", config: { url: `http://127.0.0.1:${port}/parked` } },
      ...{ rate_limit: { key: "parked", limit: 2, per_ms: 2000 }, ...more },
    });
    const retry = { max_attempts: 2 };
    const one = await submit({ name: "asks", nodes: [call("a", { retry })], edges: [] });
    await waitFor(() => Promise.resolve(parkedAsked.length === 1), { describe: "a is asked" });
    const two = await submit({ name: "waits", nodes: [call("b")], edges: [] });
    await waitFor(async () => (await client.status(two)).nodes["b"]?.wait !== undefined, {
      describe: "b is not parked",
    });
    answer();
    for (const id of [one, two]) {
      expect((await client.ended(id, { timeoutMs: 15_000 })).status).toBe("COMPLETED");
    }
    expect(parkedAsked).toHaveLength(3);
    expect((parkedAsked[1] ?? 0) - (parkedAsked[0] ?? 0)).toBeGreaterThan(1900);
    expect(await dueTimes(two)).toHaveLength(2);
    expect((await client.status(two)).nodes["b"]?.attempts).toBe(1);
  });
});
