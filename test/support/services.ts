/**
 * What a test file gets of Redis and Postgres: an empty logical database of its own in each.
 *
 * ```ts
 * const redis = await testRedis();          // in beforeAll, or at the top of the file
 * const database = await testDatabase();    // migrated
 * afterAll(() => Promise.all([redis.close(), database.close()]));
 * ```
 */
import { inject } from "vitest";
import { connectPostgres, type Database, type PostgresTarget } from "../../sdk/postgres/connect.ts";
import { migrate } from "../../sdk/postgres/migrate.ts";
import { connectRedis } from "../../sdk/redis/connect.ts";
import { emptyRedis } from "./whole-redis.ts";
import type { Redis } from "ioredis";

export interface TestRedis {
  /** For connectRedis, and for `GAVOTTE_REDIS_URL` of processes the test starts. */
  readonly url: string;
  /** Opens a connection that `close` closes. */
  connect(name?: string): Redis;
  /** Removes every key of this logical database. */
  flush(): Promise<void>;
  /** Closes the connections and gives the database back. Safe to repeat. */
  close(): Promise<void>;
}

export interface TestDatabase {
  readonly url: string;
  /** PGlite: one session for all connections. Tests of locks between sessions skip themselves. */
  readonly singleSession: boolean;
  /** For connectPostgres. */
  readonly target: PostgresTarget;
  /** Opens a pool that `close` closes. */
  connect(more?: Partial<PostgresTarget>): Database;
  /** Empties every table of the schema. */
  empty(): Promise<void>;
  /** Closes the pools and drops the database. Safe to repeat. */
  close(): Promise<void>;
}

/** What GAVOTTE_TEST_REDIS asks for: `cluster`, or nothing. */
function redisKind(): "redis" | "cluster" {
  const wish = process.env["GAVOTTE_TEST_REDIS"] ?? "";
  if (wish !== "" && wish !== "cluster") {
    throw new Error(`GAVOTTE_TEST_REDIS is ${wish}: it may be "cluster", or be absent`);
  }
  return wish === "" ? "redis" : "cluster";
}

/**
 * An empty Redis database for this test file; with GAVOTTE_TEST_REDIS=cluster a whole Redis Cluster
 * of three primaries.
 */
export async function testRedis(): Promise<TestRedis> {
  const kind = redisKind();
  const { url } = await ask<{ url: string }>(`/${kind}/take`);
  const open: Redis[] = [];
  const connect = (name = "test"): Redis => {
    const redis = connectRedis({ url }, name);
    open.push(redis);
    return redis;
  };
  let closing: Promise<void> | undefined;
  return {
    url,
    connect,
    async flush() {
      await connectOnce(url, emptyRedis);
    },
    close() {
      open.forEach((redis) => redis.disconnect());
      closing ??= ask(`/${kind}/release`, url);
      return closing;
    },
  };
}

/** A Postgres database for this test file, with the schema unless `migrated` is false. */
export async function testDatabase(options: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const { url, singleSession } = await ask<{ url: string; singleSession: boolean }>(
    "/postgres/take",
  );
  const target = { url, singleSession, name: "test" };
  const open: Database[] = [];
  const connect = (more: Partial<PostgresTarget> = {}): Database => {
    const database = connectPostgres({ ...target, ...more });
    open.push(database);
    return database;
  };
  const once = async (work: (database: Database) => Promise<unknown>): Promise<void> => {
    const database = connectPostgres(target);
    await work(database).finally(() => database.close());
  };
  if (options.migrated ?? true) {
    await once((database) => migrate(database));
  }
  let closing: Promise<void> | undefined;
  return {
    url,
    singleSession,
    target,
    connect,
    empty: () => once((database) => database.query({ name: "empty", text: EMPTY_TABLES })),
    close() {
      closing ??= Promise.all(open.map((database) => database.close())).then(async () => {
        await ask("/postgres/release", url);
      });
      return closing;
    },
  };
}

const EMPTY_TABLES = `
  DO $$ DECLARE names text; BEGIN
    SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') INTO names
      FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations';
    PERFORM set_config('gavotte.retention', 'on', true);
    IF names IS NOT NULL THEN EXECUTE 'TRUNCATE ' || names || ' CASCADE'; END IF;
  END $$`;

async function connectOnce<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = connectRedis({ url }, "test:once");
  return work(redis).finally(() => redis.disconnect());
}

async function ask<T>(path: string, body = ""): Promise<T> {
  const response = await fetch(inject("servicesUrl") + path, { method: "POST", body });
  const text = await response.text();
  if (!response.ok) {
    throw new Error(`the test services answered: ${text}`);
  }
  return JSON.parse(text) as T;
}
