/**
 * Redis and Postgres for the measurement, with the durability of production: Redis with an
 * append-only file synced every second, Postgres with its own defaults (it syncs every commit).
 *
 * Postgres is the one installed on this machine, run as an unprivileged user on a private socket;
 * else that of GAVOTTE_DATABASE_URL; else PGlite, and the results say so: it is one process with
 * one session, and much slower.
 */
import { execFile, execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { spawnWatched, within } from "../cmd/embedded/child.ts";
import { findProgram } from "../cmd/embedded/find-program.ts";
import { startPglite } from "../cmd/embedded/pglite-child.ts";
import { socketUrl, startRedis } from "../cmd/embedded/redis-child.ts";
import { isListening, pause } from "../cmd/embedded/sockets.ts";
import { connectRedis, type Redis } from "../sdk/internal.ts";
import { connectPostgres, migrate, type Database } from "../sdk/postgres/index.ts";

export interface Services {
  /** The engine's logical database; the others are in databases of their own. */
  redisUrl: string;
  floorRedisUrl: string;
  redisSocket: string;
  databaseUrl: string;
  singleSession: boolean;
  /** For the results: which servers these are. */
  versions: { redis: string; postgres: string };
  pids: { redis: number; postgres: number | null };
  redis: Redis;
  db: Database;
  /** The URL of a peer's own database on the same server, made at first use. */
  databaseOf(peer: string): Promise<string>;
  /** A folder for whatever else is needed; removed in the end. */
  dir: string;
  stop(): Promise<void>;
}

/** Logical database of the peers. */
export const PEER_DATABASE = 2;
const FLOOR_DATABASE = 1;
/** As docs/operating.md says. */
const REWRITE_MIN_SIZE = "2gb";
const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 15_000;

interface PostgresServer {
  url: string;
  singleSession: boolean;
  pid: number | null;
  kind: string;
  stop(): Promise<void>;
}

/** Starts everything and brings the schema up to date. */
export async function startServices(): Promise<Services> {
  const dir = mkdtempSync(join(tmpdir(), "gavotte-bench-"));
  // Postgres' user has to reach its folder inside.
  chmodSync(dir, 0o755);
  const socket = join(dir, "redis.sock");
  const redisChild = await startRedis({ dataDir: join(dir, "redis"), socket });
  const redis = connectRedis({ url: redisChild.url }, "bench");
  // At Redis' default of 64 MB a fast system has its append-only file rewritten every second.
  await redis.config("SET", "auto-aof-rewrite-min-size", REWRITE_MIN_SIZE);
  const postgres = await startPostgres(dir);
  const { url, singleSession } = postgres;
  const db = connectPostgres({ url, singleSession, connectionsMax: 2, name: "bench" });
  await migrate(db);
  const info = await redis.info("server");
  const about = (field: string): string => new RegExp(`${field}:(.*)\r`).exec(info)?.[1] ?? "?";
  const [version] = await db.query<{ v: string }>({ name: "bench_version", text: VERSION });
  return {
    redisUrl: redisChild.url,
    floorRedisUrl: socketUrl(socket, FLOOR_DATABASE),
    redisSocket: socket,
    ...{ databaseUrl: url, singleSession, redis, db, dir },
    databaseOf: (peer) => databaseOf(db, url, `peer_${peer}`),
    versions: {
      redis: `${about("redis_version")}, appendfsync everysec, unix socket`,
      postgres: `${postgres.kind} ${version?.v ?? "?"}`,
    },
    pids: { redis: Number(about("process_id")), postgres: postgres.pid },
    async stop() {
      redis.disconnect();
      await db.close();
      await postgres.stop();
      await redisChild.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function databaseOf(db: Database, url: string, name: string): Promise<string> {
  const found = { name: "bench_database", text: "SELECT 1 FROM pg_database WHERE datname = $1" };
  // PGlite has one database: no peer that needs another can run there.
  if (!db.singleSession && (await db.query(found, [name])).length === 0) {
    await db.query({ name: `bench_create_${name}`, text: `CREATE DATABASE ${name}` });
  }
  const [before = "", query = ""] = url.split("?", 2);
  // Some parsers of URLs want a host, even where the query names the socket.
  const server = before.slice(0, before.lastIndexOf("/")).replace(/@$/, "@localhost");
  return `${server}/${name}?${query}`;
}

const VERSION = "SELECT current_setting('server_version') AS v";

async function startPostgres(dir: string): Promise<PostgresServer> {
  const own = await startInstalled(join(dir, "postgres"));
  if (own !== undefined) {
    return own;
  }
  const url = process.env["GAVOTTE_DATABASE_URL"];
  if (url !== undefined) {
    return { url, singleSession: false, pid: null, kind: "given", stop: () => Promise.resolve() };
  }
  const pglite = await startPglite(join(dir, "pglite"), join(dir, "s"));
  const stop = (): Promise<void> => pglite.stop();
  return { url: pglite.url, singleSession: true, pid: null, kind: "PGlite", stop };
}

/** A server from the installed programs; undefined when there are none. */
async function startInstalled(dir: string): Promise<PostgresServer | undefined> {
  const initdb = findProgram(["initdb"], installedFolders());
  if (initdb === undefined) {
    return undefined;
  }
  const user: { uid?: number; gid?: number } = process.getuid?.() === 0 ? unprivileged() : {};
  const [data, sockets] = [join(dir, "data"), join(dir, "s")];
  for (const folder of [dir, data, sockets]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (user.uid !== undefined && user.gid !== undefined) {
      chownSync(folder, user.uid, user.gid);
    }
  }
  const options = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"];
  await promisify(execFile)(initdb, options, { ...user, cwd: dir });
  const settings = ["listen_addresses=", "max_connections=100", "shared_buffers=256MB"];
  const args = ["-D", data, "-k", sockets, ...settings.flatMap((setting) => ["-c", setting])];
  const program = join(dirname(initdb), "postgres");
  const child = spawnWatched(program, args, { ...user, signal: "INT" });
  const listening = async (): Promise<void> => {
    while (!(await isListening(join(sockets, ".s.PGSQL.5432")))) {
      await pause(20);
    }
  };
  await within(listening(), START_LIMIT_MS, `Postgres does not listen: ${child.output()}`);
  await pause(500);
  return {
    url: `postgres://postgres@/postgres?host=${encodeURIComponent(sockets)}`,
    singleSession: false,
    pid: Number(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n", 1)[0]),
    kind: "PostgreSQL",
    async stop() {
      child.process.stdin?.end();
      await within(child.ended, STOP_LIMIT_MS, "Postgres does not stop");
    },
  };
}

/** Debian keeps the server's programs out of the PATH; the newest comes first. */
function installedFolders(): string[] {
  const root = "/usr/lib/postgresql";
  try {
    const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join(root, version, "bin"));
  } catch {
    return [];
  }
}

const NOBODY = 65534;

/** Postgres refuses to run as root. */
function unprivileged(): { uid: number; gid: number } {
  const id = (flag: string): number =>
    Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8", stdio: "pipe" }));
  try {
    return { uid: id("-u"), gid: id("-g") };
  } catch {
    return { uid: NOBODY, gid: NOBODY };
  }
}
