/** `gavotte prune` and `gavotte migrate --grant`, as processes on services of their own. */
import { tmpdir } from "node:os";
import { afterAll, beforeAll, expect, it } from "vitest";
import { globalKeys } from "../sdk/internal.ts";
import { ensureDeployment } from "../sdk/postgres/index.ts";
import { testDatabase, testRedis } from "../test/support/index.ts";
import { runCli, type CliResult } from "./cli.fixture.ts";

const SLOW = 60_000;
const DAY_MS = 86_400_000;
const redis = await testRedis();
const server = await testDatabase();
const db = server.connect();
const role = `gv_prune_${process.pid}`;
let serial = 0;

const sql = (text: string, values: unknown[] = []) =>
  db.query({ name: `prune_test_${serial++}`, text }, values);
const gavotte = (...args: string[]): Promise<CliResult> =>
  runCli(tmpdir(), args, {
    env: { GAVOTTE_REDIS_URL: redis.url, GAVOTTE_DATABASE_URL: server.url },
  });

beforeAll(async () => {
  const deployment = { id: "d", partitions: 1, layout: 1 };
  await redis.connect().hset(globalKeys.deployment, deployment);
  await ensureDeployment(db, deployment);
  const ended = { old: 3, young: 1, "old~child": 3, kept: 3, "kept~child": 1 };
  for (const [id, days] of Object.entries(ended)) {
    await sql(
      `INSERT INTO runs (id, workflow, version, ir_hash, partition, priority, status, input,
        created_at_ms, ended_at_ms, updated_at_ms)
      VALUES ($1, 'w', '1', 'h', 0, 'normal', 'COMPLETED', '{}', $2, $2, $2)`,
      [id, Date.now() - days * DAY_MS],
    );
  }
});

afterAll(() => Promise.all([redis.close(), server.close()]));

const left = async (): Promise<unknown[]> =>
  (await sql("SELECT id FROM runs ORDER BY id")).map(({ id }) => id);

it(
  "prune tells what it would delete, and deletes that and no more",
  async () => {
    const [ageless, tooYoung, dry] = await Promise.all([
      gavotte("prune"),
      gavotte("prune", "--older-than", "59m"),
      gavotte("prune", "--older-than", "2d", "--dry-run", "--json"),
    ]);
    for (const refused of [ageless, tooYoung]) {
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain("GV_BAD_INPUT");
      expect(refused.stderr).toContain("at least 1h");
    }
    const told = { trees: 1, runs: 2, kept: 1, submissions: 0 };
    expect(JSON.parse(dry.stdout)).toEqual({ dry_run: true, ...told });
    expect(await left()).toHaveLength(5);
    const done = await gavotte("prune", "--older-than", "2d");
    expect(done).toMatchObject({ code: 0 });
    expect(done.stdout).toContain("2 run(s) deleted (1 of them submitted");
    expect(done.stderr).toContain("1 old enough stay");
    expect(await left()).toEqual(["kept", "kept~child", "young"]);
  },
  SLOW,
);

it.skipIf(server.singleSession)(
  "migrate --grant gives a role its rights, and says when there is no such role",
  async () => {
    const unknown = await gavotte("migrate", "--grant", role);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain(`CREATE ROLE "${role}" LOGIN`);
    await sql(`CREATE ROLE ${role}`);
    const granted = await gavotte("migrate", "--grant", role, "--json");
    expect(JSON.parse(granted.stdout)).toEqual({ applied: [], granted: role });
    const may = "SELECT has_table_privilege($1, 'journal', $2) AS may";
    expect(await sql(may, [role, "INSERT"])).toEqual([{ may: true }]);
    expect(await sql(may, [role, "DELETE"])).toEqual([{ may: false }]);
    await sql(`DROP OWNED BY ${role}`);
    await sql(`DROP ROLE ${role}`);
  },
  SLOW,
);
