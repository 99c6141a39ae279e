/** A `gavotte run` that is killed with -9: its run does not stay RUNNING, whatever becomes of Redis. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compile } from "../compiler/index.ts";
import { connectRedis, defineFunction, globalKeys, type Redis } from "../sdk/internal.ts";
import { compensationOf, listRuns, type Database, type RunRow } from "../sdk/postgres/index.ts";
import { createSupervisor, type Supervisor } from "../supervisor/index.ts";
import {
  testDatabase,
  testRedis,
  waitFor,
  type TestDatabase,
  type TestRedis,
} from "../test/support/index.ts";
import { createWorker, FunctionRegistry } from "../worker/index.ts";
import { startCli } from "./cli.fixture.ts";

const SLOW = 90_000;
const logger = pino({ level: process.env["GAVOTTE_TEST_LOG"] ?? "silent" });
let cwd = "";
let server: TestRedis;
let database: TestDatabase;
let redis: Redis;
let db: Database;
let supervisor: Supervisor;

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-killed-"));
  server = await testRedis();
  database = await testDatabase();
  redis = connectRedis({ url: server.url }, "test");
  db = database.connect();
  supervisor = await started();
}, SLOW);
afterAll(async () => {
  await supervisor.stop(5000);
  redis.disconnect();
  await server.close();
  await database.close();
  rmSync(cwd, { recursive: true, force: true });
}, SLOW);

async function started(): Promise<Supervisor> {
  const one = createSupervisor({ redisUrl: server.url, database: db, logger, compile });
  await one.start();
  return one;
}

async function runOf(workflow: string): Promise<RunRow> {
  const [row] = await listRuns(db, { workflow, limit: 1 });
  return row as RunRow;
}

const CASES = [
  {
    name: "kept",
    what: "Redis keeps what it has",
    lose: (): Promise<unknown> => Promise.resolve(),
  },
  { name: "lost", what: "Redis is lost in between", lose: (): Promise<unknown> => redis.flushdb() },
];

it.for(CASES)(
  "its run is cancelled, and says why: $what",
  { timeout: SLOW },
  async ({ name, lose }, { skip }) => {
    skip(database.singleSession); // processes cannot share a PGlite
    const delay = { id: "only", type: "delay", config: { delay_ms: 600_000 } };
    writeFileSync(join(cwd, `${name}.json`), JSON.stringify({ name, nodes: [delay] }));
    const env = { GAVOTTE_REDIS_URL: server.url, GAVOTTE_DATABASE_URL: database.url };
    const command = startCli(cwd, ["run", `${name}.json`], { env });
    await command.said("only waiting");
    command.child.kill("SIGKILL");
    await command.ended;
    expect((await runOf(name)).status).toBe("RUNNING");
    // The supervisor goes with it, as on a machine that is switched off; the next one looks at once.
    await supervisor.stop(0);
    await lose();
    supervisor = await started();
    const row = await waitFor(
      async () => {
        const now = await runOf(name);
        return now.status === "CANCELLED" ? now : undefined;
      },
      { timeoutMs: 30_000, describe: "its run stays as it was" },
    );
    const { pid } = command.child;
    expect(row.error).toContain(`process ${String(pid)}) is gone`);
    const left = await redis.keys(`*${row.id}*`);
    await waitFor(async () => (await redis.keys(`*${row.id}*`)).length === 0, {
      describe: `keys are left: ${left.join(", ")}`,
    });
  },
);

it(
  "what undoes it is executed by whoever serves its functions",
  { timeout: SLOW },
  async ({ skip }) => {
    skip(database.singleSession);
    const charge = { id: "charge", type: "function", config: { function_name: "builtin.echo" } };
    const nodes = [
      { ...charge, compensate: "refund" },
      { id: "only", type: "delay", config: { delay_ms: 600_000 } },
    ];
    const document = { name: "charged", nodes, edges: [{ from: "charge", to: "only" }] };
    writeFileSync(join(cwd, "charged.json"), JSON.stringify(document));
    const env = { GAVOTTE_REDIS_URL: server.url, GAVOTTE_DATABASE_URL: database.url };
    const command = startCli(cwd, ["run", "charged.json", "--stub"], { env });
    await command.said("only waiting");
    command.child.kill("SIGKILL");
    await command.ended;
    const { id } = await runOf("charged");
    const refunds: unknown[] = [];
    const refund = defineFunction("refund", ({ input }) => void refunds.push(input) as never);
    const deployment = (await redis.hget(globalKeys.deployment, "id")) as string;
    const worker = createWorker({
      ...{ redis: { url: server.url }, deployment, partitions: 1, logger, id: "common" },
      registry: new FunctionRegistry([refund]),
    });
    await worker.start();
    // The first look ends the run, a later one finds what undoes it.
    for (const what of ["cancelled", "taken over"]) {
      await supervisor.stop(0);
      supervisor = await started();
      const describe = `it is not ${what}`;
      await waitFor(
        async () => {
          const undoing = await compensationOf(db, id);
          return what === "cancelled" ? undoing !== null : undoing?.status === "COMPLETED";
        },
        { timeoutMs: 30_000, describe },
      );
    }
    expect(refunds).toEqual([{}]);
    await worker.stop(0);
  },
);
