/**
 * The schema: brought up to date on request, checked at every start.
 *
 * A process never migrates unless told to. It refuses a schema older than it needs, and one newer
 * than it knows: both would fail later and worse.
 */
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { GavotteError } from "../errors.ts";
import { databaseError, type Database } from "./connect.ts";

const TABLE = "schema_migrations";

export interface MigrateOptions {
  /** Told what is applied. */
  onMigration?: (name: string) => void;
}

/**
 * Applies what is missing; returns the names applied. Safe to call from several processes at once:
 * they wait for each other (a PGlite has one process that does so). Throws GV_SCHEMA_OUTDATED where a
 * newer version has been at work: nothing would be applied, and that would read as if all were well.
 */
export async function migrate(db: Database, options: MigrateOptions = {}): Promise<string[]> {
  const present = await presentNames(db);
  assertNoneNewer(present);
  await (migrationNames().length > present.length ? assertMayCreate(db) : undefined);
  // Processes that only check the schema need no more than its names.
  const { runner } = await import("node-pg-migrate");
  const client = await db.pool.connect().catch((error: unknown) => {
    throw databaseError(error, "migrate");
  });
  try {
    const applied = await runner({
      dbClient: client,
      dir: migrationsDir(),
      ignorePattern: "(?!.*\\.sql$).*",
      migrationsTable: TABLE,
      direction: "up",
      singleTransaction: true,
      noLock: db.singleSession,
      advisoryLockMode: "wait",
      log: () => undefined,
    });
    applied.forEach(({ name }) => options.onMigration?.(name));
    return applied.map(({ name }) => name);
  } finally {
    client.release();
  }
}

/** Throws GV_BAD_CONFIG: the runner of migrations would fail with no more than a stack. */
async function assertMayCreate(db: Database): Promise<void> {
  const text = `SELECT current_user AS role, coalesce(current_schema(), '(none)') AS schema,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may`;
  type Found = { role: string; schema: string; may: boolean };
  const [found] = await db.query<Found>({ name: "schema_may_create", text });
  if (found?.may === false) {
    const { role, schema } = found;
    const message =
      `the role "${role}" may not create tables in schema ${schema}: migrate as the database's ` +
      `owner, then "gavotte migrate --grant ${role}"; or GRANT CREATE ON SCHEMA ${schema} TO it`;
    throw new GavotteError("GV_BAD_CONFIG", message);
  }
}

/** Throws GV_SCHEMA_OUTDATED, with the remedy, unless the schema is the one of this program. */
export async function assertSchema(db: Database): Promise<void> {
  const known = migrationNames();
  const present = await presentNames(db);
  const missing = known.filter((name) => !present.includes(name));
  assertNoneNewer(present);
  if (missing.length > 0) {
    const [first, last] = [missing[0], missing.at(-1)];
    const many = `${missing.length} migrations, ${first} to ${last}`;
    const message = `the database schema lacks ${missing.length > 3 ? many : missing.join(", ")}`;
    throw new GavotteError("GV_SCHEMA_OUTDATED", `${message}; run "gavotte migrate" first`, {
      details: { missing },
    });
  }
}

/** Names of the migrations that were applied, in order. */
async function presentNames(db: Database): Promise<string[]> {
  const exists = `SELECT to_regclass('${TABLE}') IS NOT NULL AS there`;
  const [found] = await db.query<{ there: boolean }>({ name: "schema_exists", text: exists });
  const text = `SELECT name FROM ${TABLE} ORDER BY id`;
  const rows = found?.there ? await db.query<{ name: string }>({ name: "schema_names", text }) : [];
  return rows.map((row) => row.name);
}

function assertNoneNewer(present: readonly string[]): void {
  const known = migrationNames();
  const newer = present.filter((name) => !known.includes(name));
  if (newer.length > 0) {
    const message = `the database schema has ${newer.join(", ")}, which this version does not know`;
    throw new GavotteError("GV_SCHEMA_OUTDATED", `${message}; start the newer version instead`, {
      details: { newer },
    });
  }
}

/** Names of the migrations of this program, in order. */
export function migrationNames(): string[] {
  const files = readdirSync(migrationsDir()).filter((file) => file.endsWith(".sql"));
  return files.map((file) => file.slice(0, -".sql".length)).sort();
}

/**
 * The folder stands beside `sdk`, or, when compiled into `dist/`, one level further up; beside `cmd`
 * for what is bundled there.
 */
function migrationsDir(): string {
  const dirs = ["../../migrations/", "../../../migrations/", "../migrations/"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  const dir = dirs.find((path) => existsSync(path));
  if (dir === undefined) {
    throw new GavotteError(
      "GV_SCHEMA_OUTDATED",
      `no migrations in ${dirs.join(" or ")}; reinstall`,
    );
  }
  return dir;
}
