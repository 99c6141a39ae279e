/** What commands do while no supervisor has certified the partition of their run: they end. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { compile } from "../compiler/index.ts";
import { createClient, type Client } from "../sdk/client.ts";
import { connectRedis, partitionKeys, type Redis } from "../sdk/internal.ts";
import type { Database } from "../sdk/postgres/index.ts";
import { createSupervisor } from "../supervisor/index.ts";
import {
  testDatabase,
  testRedis,
  waitFor,
  type TestDatabase,
  type TestRedis,
} from "../test/support/index.ts";
import { runCli, startCli } from "./cli.fixture.ts";

const SLOW = 60_000;
const UNCERTIFIED = { code: "GV_PARTITION_UNCERTIFIED" };
const workflow = {
  name: "uncertified",
  nodes: [{ id: "paid", type: "wait", config: { signal: "paid" } }],
};

let cwd = "";
let redis: TestRedis;
let connection: Redis;
let database: TestDatabase;
let db: Database;
let client: Client;
let runId = "";
let env: { [name: string]: string } = {};

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-uncertified-"));
  redis = await testRedis();
  database = await testDatabase();
  db = database.connect();
  connection = connectRedis({ url: redis.url }, "test");
  const logger = pino({ level: "silent" });
  const services = { redisUrl: redis.url, database: db };
  const supervisor = createSupervisor({ ...services, logger, compile });
  await supervisor.start();
  client = await createClient({ ...services, submitTimeoutMs: 10_000 });
  runId = await client.submit({ workflow });
  await supervisor.stop(5000);
  await client.close();
  await connection.hdel(partitionKeys(0).meta, "epoch");
  client = await createClient({ ...services, submitTimeoutMs: 300 });
  env = { GAVOTTE_REDIS_URL: redis.url, GAVOTTE_DATABASE_URL: database.url };
}, SLOW);

afterAll(async () => {
  await client.close();
  connection.disconnect();
  await Promise.all([redis.close(), database.close()]);
  rmSync(cwd, { recursive: true, force: true });
}, SLOW);

/** A server that says that it is ready, and answers nothing else. Port by listening. */
const dumb = createServer((socket) => {
  let asked = "";
  socket.on("error", () => undefined);
  socket.on("data", (bytes) => {
    asked += bytes.toString();
    // A command's name and no argument: the name of a connection may end as one.
    const known = /\$(?:6\r\nclient|4\r\n(info))\r\n/gi;
    asked = asked.replaceAll(known, (_, info?: string) => {
      socket.write(info === undefined ? "+OK\r\n" : "$11\r\nloading:0\r\n\r\n");
      return "";
    });
  });
});

describe("while Redis does not answer", () => {
  it(
    "a command ends within submit_timeout_ms, and says that it may have been done",
    async ({ skip }) => {
      skip(database.singleSession);
      await new Promise<void>((done) => dumb.listen(0, "127.0.0.1", done));
      onTestFinished(() => void dumb.close());
      const url = `redis://127.0.0.1:${(dumb.address() as AddressInfo).port}`;
      const args = ["cancel", runId, "--redis-url", url, "--submit-timeout-ms", "300"];
      const { code, stderr } = await runCli(cwd, args, { env });
      expect(stderr).toContain("GV_REDIS_UNAVAILABLE");
      expect(stderr).toContain("not answered within 300 ms");
      expect(code).toBe(3);
    },
    SLOW,
  );
});

describe("while a partition is not certified", () => {
  it.each<[string, () => Promise<unknown>]>([
    ["signal", () => client.signal(runId, "paid")],
    ["cancel", () => client.cancel(runId)],
    ["pause", () => client.operations.pause(runId)],
    ["resume", () => client.operations.resume(runId)],
    ["node", () => client.operations.intervene(runId, "paid", { action: "skip", by: "ann" })],
  ])("%s gives up in time and says why", async (_, call) => {
    await expect(call()).rejects.toMatchObject(UNCERTIFIED);
  });

  it(
    "a command ends with the error's exit code within submit_timeout_ms",
    async ({ skip }) => {
      skip(database.singleSession);
      const args = ["signal", runId, "paid", "--submit-timeout-ms", "300"];
      const { code, stderr } = await runCli(cwd, args, { env });
      expect(stderr).toContain("GV_PARTITION_UNCERTIFIED");
      expect(stderr).toContain("within 300 ms");
      expect(code).toBe(3);
    },
    SLOW,
  );

  it(
    "a repair ends in time, too, and says why",
    async ({ skip }) => {
      skip(database.singleSession);
      const key = partitionKeys(0).run(runId);
      const counter = await connection.hget(key, "c");
      await connection.hset(key, "c", "7");
      onTestFinished(async () => void (await connection.hset(key, "c", counter ?? "")));
      const soon = { ...env, GAVOTTE_SUBMIT_TIMEOUT_MS: "300" };
      const args = ["doctor", "--audit", "--repair"];
      const { code, stdout } = await runCli(cwd, args, { env: soon });
      expect(stdout).toMatch(/^BAD +audit +partition 0 was not certified .* within 300 ms/m);
      expect(code).toBe(3);
    },
    SLOW,
  );

  it.each(["SIGTERM", "SIGINT"] as const)(
    "a command that waits ends at the first %s",
    async (signal) => {
      const patient = { ...env, GAVOTTE_SUBMIT_TIMEOUT_MS: "600000" };
      const { child, ended } = startCli(cwd, ["cancel", runId], { env: patient });
      onTestFinished(() => void child.kill("SIGKILL"));
      const text = `SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE '%cli'`;
      await waitFor(async () => (await db.query({ name: "cli_is_there", text }, [])).length > 0, {
        describe: "the command has not begun",
      });
      child.kill(signal);
      expect(await ended).toMatchObject({ code: 130, stdout: "" });
    },
    SLOW,
  );
});

describe("on an embedded stack that it has started itself", () => {
  let embedded = "";
  beforeAll(async () => {
    mkdirSync(join(cwd, ".gavotte"));
    writeFileSync(join(cwd, "waits.json"), JSON.stringify(workflow));
    embedded = (await runCli(cwd, ["submit", "waits.json"])).stdout.trim();
  }, SLOW);

  it.each([["why"], ["status", "--why"]])(
    "a command that asks how things stand waits for its own supervisor: %s",
    async (...asked) => {
      const answer = await runCli(cwd, [...asked, embedded]);
      expect([answer.code, answer.stdout]).toEqual([0, expect.stringContaining("paid")]);
      expect(answer.stdout).not.toContain("is not certified");
    },
    SLOW,
  );
});
