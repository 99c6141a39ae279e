/**
 * The Postgres the tests run against, and a database of it for each test file.
 *
 * In order: the server of GAVOTTE_DATABASE_URL; a container, where a Docker engine has the image;
 * the Postgres installed on this machine; PGlite, one process per test file, since all its
 * connections share one session. GAVOTTE_TEST_POSTGRES=container|local|pglite picks one of them.
 */
import { randomBytes } from "node:crypto";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { startPglite } from "../../cmd/embedded/pglite-child.ts";
import { startContainer } from "./containers.ts";
import { startLocalPostgres } from "./postgres-local.ts";

const POSTGRES_IMAGE = "postgres:16-alpine";

export interface TakenDatabase {
  url: string;
  /** It is PGlite: one session for all connections, see connectPostgres. */
  singleSession: boolean;
}

interface Server {
  take(): Promise<TakenDatabase>;
  release(url: string): Promise<void>;
  stop(): Promise<void>;
}

export class PostgresService {
  readonly #dir: string;
  #server: Promise<Server> | undefined;

  /** Nothing is started before the first `take`. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** An empty database nobody else has. */
  async take(): Promise<TakenDatabase> {
    this.#server ??= this.#start();
    return (await this.#server).take();
  }

  /** Drops a database. */
  async release(url: string): Promise<void> {
    await (await this.#server)?.release(url);
  }

  async stop(): Promise<void> {
    await this.#server?.then((server) => server.stop()).catch(() => undefined);
  }

  async #start(): Promise<Server> {
    const given = process.env["GAVOTTE_DATABASE_URL"];
    if (given) {
      return databasesOf(given, async () => undefined);
    }
    const wish = process.env["GAVOTTE_TEST_POSTGRES"];
    const real =
      (wish === undefined || wish === "container" ? await container() : undefined) ??
      (wish === undefined || wish === "local"
        ? await startLocalPostgres(join(this.#dir, "postgres"))
        : undefined);
    if (real === undefined && wish !== undefined && wish !== "pglite") {
      throw new Error(`GAVOTTE_TEST_POSTGRES=${wish}, but there is none on this machine`);
    }
    return real ? databasesOf(real.url, real.stop) : pgliteServer(this.#dir);
  }
}

async function container(): Promise<{ url: string; stop(): Promise<void> } | undefined> {
  const started = await startContainer({
    image: POSTGRES_IMAGE,
    port: 5432,
    environment: { POSTGRES_HOST_AUTH_METHOD: "trust" },
    // Over TCP: while the image makes the database, it listens on the socket only.
    ready: "pg_isready -h 127.0.0.1 -U postgres",
  });
  return (
    started && {
      url: `postgres://postgres@${started.host}:${started.port}/postgres`,
      stop: started.stop,
    }
  );
}

/** A real server: databases are made and dropped. */
function databasesOf(url: string, stop: () => Promise<void>): Server {
  const ask = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  };
  return {
    stop,
    async take() {
      const name = `gavotte_test_${randomBytes(6).toString("hex")}`;
      await ask(`CREATE DATABASE ${name}`);
      return { url: withName(url, name), singleSession: false };
    },
    release: (taken) => ask(`DROP DATABASE IF EXISTS ${nameOf(taken)} WITH (FORCE)`),
  };
}

/** The path by hand: a URL whose host is a socket folder has an empty host, which URL refuses. */
function withName(url: string, name: string): string {
  return url.replace(/^(\w+:\/\/[^/]*\/)[^?]*/, `$1${name}`);
}

function nameOf(url: string): string {
  return /^\w+:\/\/[^/]*\/([^?]*)/.exec(url)?.[1] ?? "";
}

/** PGlite: copies of one database folder, since making it anew costs seconds each time. */
function pgliteServer(dir: string): Server {
  const running = new Map<string, { stop(): Promise<void>; dir: string }>();
  const template = join(dir, "pglite");
  let serial = 0;
  let made: Promise<void> | undefined;
  const make = async (): Promise<void> => {
    await (await startPglite(template, join(dir, "p0"))).stop();
  };
  return {
    async take() {
      made ??= make();
      await made;
      serial += 1;
      const mine = join(dir, `pglite-${serial}`);
      cpSync(template, mine, { recursive: true });
      const child = await startPglite(mine, join(dir, `p${serial}`));
      running.set(child.url, { stop: () => child.stop(), dir: mine });
      return { url: child.url, singleSession: true };
    },
    async release(url) {
      const one = running.get(url);
      running.delete(url);
      await one?.stop();
      rmSync(one?.dir ?? "", { recursive: true, force: true });
    },
    async stop() {
      await Promise.allSettled([...running.values()].map((one) => one.stop()));
    },
  };
}
