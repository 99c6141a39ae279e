/** Large maps in real processes: a worker is killed, Redis loses everything, nothing else happens. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { globalKeys, partitionKeys, type Redis } from "../../sdk/internal.ts";
import { readJournal, type Database } from "../../sdk/postgres/index.ts";
import { allKeys, emptyRedis, waitFor } from "../support/index.ts";
import { testProcesses, type Processes } from "./processes.ts";

const keys = partitionKeys(0);

/** Each element takes two steps, the second one after a queue hop. */
const workflow = {
  name: "many",
  nodes: [
    {
      id: "all",
      type: "map",
      config: {
        items: "input.list",
        max_concurrency: 200,
        do: {
          nodes: [
            { id: "plus", type: "transform", config: { expression: "item + input.offset" } },
            { id: "keep", type: "function", config: { function_name: "builtin.echo" } },
          ],
          edges: [{ from: "plus", to: "keep" }],
        },
      },
    },
    { id: "size", type: "transform", config: { expression: "size(data)" } },
  ],
  edges: [{ from: "all", to: "size" }],
  output: { size: "${ctx.size.output}", all: "${ctx.all.output}" },
};

let on: Processes;
let redis: Redis;
let db: Database;

beforeAll(async () => {
  on = await testProcesses();
  ({ redis, db } = on);
  await on.start("supervisor");
});
afterAll(() => on.close());

const statement = { name: "e2e_maps", text: "SELECT id, status, output FROM runs ORDER BY id" };
type Row = { id: string; status: string; output: string };

async function submit(list: number[]): Promise<void> {
  const submission = JSON.stringify({ workflow, input: { list, offset: 7 } });
  await redis.xadd(globalKeys.submissions, "*", "submission", submission);
}

/** The run that has not ended. */
async function running(): Promise<string> {
  const row = await waitFor(
    async () => (await db.query<Row>(statement)).find(({ status }) => status === "RUNNING"),
    { describe: "no run is running", timeoutMs: 20_000 },
  );
  return row.id;
}

async function elementsDone(runId: string, count: number): Promise<void> {
  const map = keys.run(`${runId}!0`);
  await waitFor(async () => Number((await redis.hget(map, "done")) ?? 0) >= count, {
    timeoutMs: 60_000,
    describe: `${count} elements have not ended`,
  });
}

const OVER = new Set(["COMPLETED", "FAILED", "CANCELLED"]);

async function ended(runId: string): Promise<Row> {
  return waitFor(
    async () => {
      const rows = await db.query<Row>(statement);
      return rows.find(({ id, status }) => id === runId && OVER.has(status));
    },
    { timeoutMs: 180_000, describe: "the run has not ended" },
  );
}

/** Ended as it should, every node of every element completed once, and nothing left in Redis. */
async function expectWhole(runId: string, list: readonly number[]): Promise<void> {
  const row = await ended(runId);
  expect(row.status).toBe("COMPLETED");
  const { size, all } = JSON.parse(row.output) as { size: number; all: number[] };
  expect(size).toBe(list.length);
  expect(all).toEqual(list.map((n) => n + 7));
  const events = (await readJournal(db, runId)).map(({ transition: t }) => t);
  const done = events.filter((t) => t.e === "node.completed").map((t) => `${t.m ?? ""}|${t.n}`);
  expect(done.length).toBe(2 * list.length + 2);
  expect(new Set(done).size).toBe(done.length);
  const text =
    "SELECT node, count(*)::int AS n FROM node_executions WHERE run_id = $1 GROUP BY node";
  const rows = await db.query<{ node: string; n: number }>({ name: "e2e_by_node", text }, [runId]);
  const counts = Object.fromEntries(rows.map(({ node, n }) => [node, n]));
  expect(counts).toEqual({ all: 1, size: 1, plus: list.length, keep: list.length });
  await waitFor(async () => (await allKeys(redis, `gv:{0}:run:${runId}*`)).length === 0, {
    timeoutMs: 30_000,
    describe: "the run's keys are not released",
  });
}

describe("A16: large maps", () => {
  it(
    "10,000 elements over two workers, one of them killed on the way, each end once and in order",
    async () => {
      const [first] = [await on.start("worker"), await on.start("worker")];
      const list = Array.from({ length: 10_000 }, (_, i) => i);
      await submit(list);
      const runId = await running();
      await elementsDone(runId, 2000);
      await on.kill(first);
      await expectWhole(runId, list);
    },
    5 * 60_000,
  );

  it(
    "a map in the middle when Redis loses everything goes on with the elements that had not ended",
    async () => {
      const list = Array.from({ length: 5000 }, (_, i) => i);
      await submit(list);
      const runId = await running();
      await elementsDone(runId, 1000);
      await emptyRedis(redis);
      await expectWhole(runId, list);
    },
    5 * 60_000,
  );
});
