import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { uuidv7 } from "uuidv7";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compile } from "../compiler/index.ts";
import { partitionKeys } from "../sdk/internal.ts";
import { admitRuns, ensureCursor } from "../sdk/postgres/index.ts";
import { createSupervisor } from "../supervisor/index.ts";
import {
  testDatabase,
  testRedis,
  waitFor,
  type TestDatabase,
  type TestRedis,
} from "../test/support/index.ts";
import { runCli } from "./cli.fixture.ts";

const SLOW = 60_000;
let services: TestRedis;
let database: TestDatabase;
let cwd = "";

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-behind-"));
  services = await testRedis();
  database = await testDatabase();
});
afterAll(async () => {
  await Promise.all([services.close(), database.close()]);
  rmSync(cwd, { recursive: true, force: true });
});

it(
  "status says that it is old while the archive stands, and what Redis has",
  { timeout: SLOW },
  async () => {
    const [redis, db, keys] = [services.connect(), database.connect(), partitionKeys(0)];
    const logger = pino({ level: "silent" });
    const supervisor = createSupervisor({ redisUrl: services.url, database: db, logger });
    await supervisor.start();
    await waitFor(() => redis.hexists(keys.meta, "epoch"));
    await supervisor.stop(5000);
    const workflow = {
      name: "late",
      nodes: [{ id: "paid", type: "wait", config: { signal: "s" } }],
    };
    const { ir, hash } = compile({ document: workflow });
    const id = uuidv7();
    const definition = { hash: hash as string, name: "late", version: "", source: null };
    const row = {
      ...{ id, tenant: "", workflow: "late", version: "", irHash: hash as string, partition: 0 },
      ...{ namespace: "", priority: "normal" as const, input: "null", idempotencyKey: null },
      ...{ requestHash: "", createdAtMs: 1 },
    };
    await admitRuns(db, [{ ...definition, createdAtMs: 1, ir: JSON.stringify(ir) }], [row]);
    const { seq } = await ensureCursor(db, 0, "nonce");
    await redis.hset(keys.meta, { seq: seq + 3 });
    await redis.hset(keys.run(id), "s", "completed");
    await redis.xadd(keys.ev, "1-1", "r", "a");
    const env = { GAVOTTE_REDIS_URL: services.url, GAVOTTE_DATABASE_URL: database.url };

    const told = await runCli(cwd, ["status", id], { env });
    expect(told.stdout).toMatch(
      /^late .* QUEUED\nthis is old: 3 records of partition 0 .*completed; /,
    );
    const { stdout } = await runCli(cwd, ["status", id, "--json"], { env });
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ status: "QUEUED", behind: { partition: 0, records: 3, status_in_redis: "completed" } },
    });
    await redis.del(keys.ev);
    expect((await runCli(cwd, ["status", id], { env })).stdout).not.toContain("old");
  },
);
