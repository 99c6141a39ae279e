/** Real processes, killed at random moments: every run ends once, with the oracle's output. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, type Ir } from "../../compiler/index.ts";
import { interpret } from "../../compiler/reference/index.ts";
import { connectionAt, globalKeys, type Redis } from "../../sdk/internal.ts";
import { readJournal, type Database } from "../../sdk/postgres/index.ts";
import { oracleHandlers } from "../generate/builtins.ts";
import { emptyRedis, waitFor } from "../support/index.ts";
import { testProcesses, type Processes } from "./processes.ts";

const RUNS = 1000;

/** Branches, a join, a retry, a loop and a straight chain: about fifteen steps a run. */
const workflow = {
  name: "killed",
  nodes: [
    { id: "in", type: "function", config: { function_name: "builtin.echo" } },
    {
      id: "flaky",
      type: "function",
      config: { function_name: "builtin.fail", params: { attempts: 1, value: 5 } },
      retry: { max_attempts: 3, backoff_ms: 20 },
    },
    { id: "even", type: "function", config: { function_name: "builtin.echo" } },
    { id: "odd", type: "function", config: { function_name: "builtin.echo" } },
    { id: "count", type: "function", config: { function_name: "builtin.counter" } },
    {
      id: "again",
      type: "loop",
      config: { loop_back_to: "count", condition: "output.count < 3", max_iterations: 9 },
    },
    { id: "join", type: "function", config: { function_name: "builtin.echo" } },
    ...["s1", "s2", "s3", "s4", "s5"].map((id) => ({
      ...{ id, type: "function", config: { function_name: "builtin.counter" } },
    })),
  ],
  edges: [
    { from: "in", to: "flaky" },
    { from: "in", to: "even", condition: "input.k % 2 == 0" },
    { from: "in", to: "odd", condition: "input.k % 2 == 1" },
    { from: "in", to: "count" },
    { from: "count", to: "again" },
    { from: "again", to: "join" },
    { from: "flaky", to: "join" },
    { from: "even", to: "join" },
    { from: "odd", to: "join" },
    { from: "join", to: "s1" },
    { from: "s1", to: "s2" },
    { from: "s2", to: "s3" },
    { from: "s3", to: "s4" },
    { from: "s4", to: "s5" },
  ],
  output: { joined: "${ctx.join.output}", k: "${input.k}", straight: "${ctx.s5.output}" },
};

let on: Processes;
let redis: Redis;
let db: Database;

async function submitAll(count: number): Promise<void> {
  for (let from = 0; from < count; from += 200) {
    const pipeline = connectionAt(redis, globalKeys.submissions).pipeline();
    for (let k = from; k < Math.min(from + 200, count); k++) {
      const submission = JSON.stringify({ workflow, input: { k } });
      pipeline.xadd(globalKeys.submissions, "*", "submission", submission);
    }
    await pipeline.exec();
  }
}

const statement = {
  name: "e2e_rows",
  text: "SELECT id, status, input, output FROM runs ORDER BY id",
};
type Row = { id: string; status: string; input: string; output: string };

async function ended(): Promise<Row[]> {
  const rows = await db.query<Row>(statement);
  return rows.filter((row) => ["COMPLETED", "FAILED", "CANCELLED"].includes(row.status));
}

beforeAll(async () => {
  on = await testProcesses();
  ({ redis, db } = on);
});
afterAll(() => on.close());

function expectOracle(rows: readonly Row[], ir: Ir): void {
  for (const row of rows) {
    const input = JSON.parse(row.input) as { k: number };
    const expected = interpret(ir, input, { handlers: oracleHandlers(), runId: row.id });
    expect(row.status).toBe(expected.status);
    expect(JSON.parse(row.output)).toEqual(expected.output);
  }
}

describe("kill -9 in the middle of a thousand runs", () => {
  it(
    "all runs end once, with the oracle's outputs, after new processes start",
    async () => {
      let supervisor = await on.start("supervisor");
      let worker = await on.start("worker");
      await submitAll(RUNS);
      for (const share of [0.05, 0.3, 0.6]) {
        await waitFor(async () => (await ended()).length >= share * RUNS, {
          timeoutMs: 60_000,
          describe: `${share * RUNS} runs have not ended`,
        });
        await on.kill(worker);
        await on.kill(supervisor);
        supervisor = await on.start("supervisor");
        worker = await on.start("worker");
      }
      await waitFor(async () => (await ended()).length === RUNS, {
        timeoutMs: 120_000,
        describe: "not all runs have ended",
      });
      const { ir } = compile({ document: workflow });
      const rows = await ended();
      expectOracle(rows, ir as Ir);
      for (const row of rows.slice(0, 50)) {
        const events = (await readJournal(db, row.id)).map(({ transition: t }) => t);
        expect(events.filter((t) => t.e === "run.completed").length).toBe(1);
        const done = events.filter((t) => t.e === "node.completed").map((t) => `${t.n} ${t.s}`);
        expect(new Set(done).size).toBe(done.length);
      }
    },
    5 * 60_000,
  );

  it(
    "a Redis that has lost everything is rebuilt from Postgres, and every run still ends",
    async () => {
      const before = (await ended()).length;
      await submitAll(RUNS);
      await waitFor(async () => (await ended()).length >= before + 0.2 * RUNS, {
        timeoutMs: 60_000,
        describe: "runs do not end",
      });
      // What was only queued for intake is Redis' alone (25 §Queue submission): wait until taken.
      await waitFor(async () => (await redis.xlen(globalKeys.submissions)) === 0, {
        timeoutMs: 60_000,
      });
      await emptyRedis(redis);
      await waitFor(async () => (await ended()).length === before + RUNS, {
        timeoutMs: 120_000,
        describe: "not all runs have ended after Redis was lost",
      });
      const { ir } = compile({ document: workflow });
      expectOracle(await ended(), ir as Ir);
    },
    5 * 60_000,
  );
});
