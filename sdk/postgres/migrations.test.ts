/**
 * F08: an installation that was upgraded step by step, with rows in it, has the schema of a new one.
 * Migrations go forward only, so there is nothing to undo; a released file is never changed.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { runner } from "node-pg-migrate";
import { afterAll, expect, it, vi } from "vitest";
import { testDatabase, type TestDatabase } from "../../test/support/index.ts";
import type { Database } from "./connect.ts";
import { assertSchema, migrate, migrationNames } from "./migrate.ts";

// Each migration by itself, on a busy machine, in PGlite.
vi.setConfig({ testTimeout: 120_000 });
const dir = fileURLToPath(new URL("../../migrations", import.meta.url));
const servers: TestDatabase[] = [];
let serial = 0;

async function database(): Promise<Database> {
  const server = await testDatabase({ migrated: false });
  servers.push(server);
  return server.connect();
}
const sql = (db: Database, text: string) => db.query({ name: `migrations_test_${serial++}`, text });

afterAll(() => Promise.all(servers.map((server) => server.close())));

/** Applies the next migration by itself, as an installation that upgrades with every release. */
async function step(db: Database): Promise<void> {
  const dbClient = await db.pool.connect();
  const options = { dbClient, dir, migrationsTable: "schema_migrations", count: 1 } as const;
  try {
    const own = { direction: "up", noLock: true, log: () => undefined } as const;
    await runner({ ...options, ...own, ignorePattern: "(?!.*\\.sql$).*" });
  } finally {
    dbClient.release();
  }
}

/** Everything of the schema that a statement can tell apart, in the words of the catalogue. */
const SCHEMA: { readonly [part: string]: string } = {
  relations: `SELECT relname, relkind, reloptions FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace ORDER BY 1, 2`,
  columns: `SELECT attrelid::regclass::text AS of, attname, attnum, format_type(atttypid, atttypmod)
      AS type, attnotnull, attidentity, attgenerated, attcompression,
      pg_get_expr(adbin, adrelid) AS value
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = current_schema()::regnamespace AND attnum > 0 AND NOT attisdropped
    ORDER BY 1, attnum`,
  indexes:
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1",
  constraints: `SELECT conrelid::regclass::text AS of, conname, pg_get_constraintdef(oid) AS def
    FROM pg_constraint WHERE connamespace = current_schema()::regnamespace ORDER BY 1, 2`,
  views: "SELECT viewname, definition FROM pg_views WHERE schemaname = current_schema() ORDER BY 1",
  triggers: `SELECT tgrelid::regclass::text AS of, pg_get_triggerdef(oid) AS def FROM pg_trigger
    WHERE NOT tgisinternal ORDER BY 1, 2`,
  functions: `SELECT proname, pg_get_functiondef(oid) AS def, proacl::text AS rights FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace ORDER BY 1, 2`,
  applied: "SELECT name FROM schema_migrations ORDER BY id",
};

const RUN = `INSERT INTO runs (id, workflow, version, ir_hash, partition, priority, status, input,
    created_at_ms, updated_at_ms) VALUES ('r', 'w', '1', 'h', 0, 'normal', 'QUEUED', '{}', 1, 1)`;
const DONE = '[["1.0",1000,{"e":"node.completed","n":0,"s":"","a":2,"ms":4,"w":"w","o":5}]]';

it("F08: the schema of an installation that took every step is that of a new one", async () => {
  const [fresh, old] = [await database(), await database()];
  await migrate(fresh);
  for (const [i] of migrationNames().entries()) {
    await step(old);
    if (i === 0) {
      // What is there from the beginning lives through all that follows.
      await sql(
        old,
        `INSERT INTO definitions (hash, name, version, ir, created_at_ms)
          VALUES ('h', 'w', '1', '{"nodes":[{"id":"first"}]}', 1)`,
      );
      await sql(old, RUN);
      await sql(old, `INSERT INTO journal VALUES (0, 'r', 1, 1, 1000, 1000, '${DONE}')`);
    }
  }
  await assertSchema(old);
  for (const [part, text] of Object.entries(SCHEMA)) {
    const [of, expected] = [await sql(old, text), await sql(fresh, text)];
    expect(expected.length).toBeGreaterThan(0);
    expect([part, of]).toEqual([part, expected]);
  }
  expect(await sql(old, "SELECT run_id, status FROM active_runs")).toEqual([
    { run_id: "r", status: "QUEUED" },
  ]);
  expect(await sql(old, "SELECT node, attempt, home FROM node_executions")).toEqual([
    { node: "first", attempt: 2, home: "" },
  ]);
});

it("F08: each file says which locks it takes, and whether the version before it can go on", () => {
  for (const name of migrationNames()) {
    const text = readFileSync(`${dir}/${name}.sql`, "utf8");
    expect([name, /^--! (compatible|breaking)\n/.test(text)]).toEqual([name, true]);
    expect([name, text.includes("\n-- Locks: ")]).toEqual([name, true]);
  }
});
