/**
 * The one place that opens Postgres connections.
 *
 * Everything is asked through a Database: it names statements (prepared once per connection),
 * gives bigint back as a number, and turns a lost connection into GV_DATABASE_UNAVAILABLE.
 *
 * PGlite behind its socket server is one session for all connections, and queues single protocol
 * messages: two connections outside a transaction would mix their unnamed statements. With
 * `singleSession` statements are unnamed and each runs in a transaction of its own, which the
 * socket server keeps together.
 */
import pg from "pg";
import type { ClientBase, Pool, PoolClient, PoolConfig, QueryResultRow } from "pg";
import { GavotteError } from "../errors.ts";
import { isPgliteUrl } from "./pglite.ts";

export interface Statement {
  /** Unique per text: the driver prepares it under this name. */
  name: string;
  text: string;
  /** ms; what takes longer fails, and its connection is closed. Without: as long as it takes. */
  query_timeout?: number;
}

export interface Queryable {
  query<Row extends QueryResultRow>(statement: Statement, values?: unknown[]): Promise<Row[]>;
}

export interface Database extends Queryable {
  readonly pool: Pool;
  readonly singleSession: boolean;
  /** Runs `work` in a transaction; a deadlock or serialisation failure repeats it a few times. */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  /** Closes all connections; safe to repeat. */
  close(): Promise<void>;
}

export interface PostgresTarget {
  /** `postgres://…`; or `config`. */
  url?: string;
  config?: PoolConfig;
  /** Connections at most; 1 is forced by `singleSession`. */
  connectionsMax?: number;
  /**
   * The server is PGlite: no named statements, no locks between connections. Without it, the URL of an
   * embedded stack tells.
   */
  singleSession?: boolean;
  /** Seen in pg_stat_activity. */
  name?: string;
}

/**
 * How each session plans. Statements here take lists of ids, and are run while tables grow from
 * nothing to millions of rows within seconds, long before autovacuum looks at them again. Statistics
 * from before then promise "one unfinished run", or an empty table, and a plan that is kept on that
 * promise reads the whole table for each list (measured: 20 times the CPU, for minutes). So plans
 * are made for the list at hand (0.1 ms), and go by index; a scan is left to what has none.
 */
const SESSION = `SET plan_cache_mode = force_custom_plan; SET enable_seqscan = off;
  SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off`;
/**
 * What becomes of a session whose process is frozen or whose machine is gone: its transaction, and the
 * locks of that, end in time, be it that nothing is asked or that no answer is fetched; the session
 * when TCP finds nobody there. PGlite's sessions are not the server's own, and end with their process.
 */
const LIMITS = `SET idle_in_transaction_session_timeout = '15s'; SET tcp_user_timeout = '30s';
  SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3`;
const CONNECT_TIMEOUT_MS = 5000;
const TRANSACTION_TRIES = 4;
const RETRIED_CODES = new Set(["40001", "40P01"]);
const INT8_OID = 20;

const types = new pg.TypeOverrides();
types.setTypeParser(INT8_OID, Number);

/** Configuration of one connection to `target`, for those that need one of their own. */
export function clientConfig(target: PostgresTarget): PoolConfig {
  return {
    ...(target.url === undefined ? {} : { connectionString: target.url }),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...target.config,
    types,
    application_name: `gavotte:${target.name ?? "main"}`,
    keepAlive: true,
  };
}

/** Makes a Database; it connects at first use. */
export function connectPostgres(target: PostgresTarget): Database {
  const singleSession = target.singleSession ?? isPgliteUrl(target.url);
  const max = singleSession ? 1 : (target.connectionsMax ?? 10);
  const onConnect = (client: ClientBase): void => {
    // A connection that is lost is reported by its query, or by the next one. The event must be heard
    // as well, also where it comes in one read with the answer after which the next one gets it.
    client.on("error", () => undefined);
    // Queued before whatever the connection is taken for; a failure is that of the connection.
    client.query(singleSession ? SESSION : `${SESSION}; ${LIMITS}`, () => undefined);
  };
  const pool = new pg.Pool({ ...clientConfig(target), max, onConnect });
  // Without a listener a server that closes an idle connection would end the process.
  pool.on("error", () => undefined);
  return new PooledDatabase(pool, singleSession);
}

class PooledDatabase implements Database {
  readonly pool: Pool;
  readonly singleSession: boolean;
  #closing: Promise<void> | null = null;

  constructor(pool: Pool, singleSession: boolean) {
    this.pool = pool;
    this.singleSession = singleSession;
  }

  async query<Row extends QueryResultRow>(
    statement: Statement,
    values: unknown[] = [],
  ): Promise<Row[]> {
    if (this.singleSession) {
      return this.transaction((tx) => tx.query<Row>(statement, values));
    }
    try {
      return (await this.pool.query<Row>({ ...statement, values })).rows;
    } catch (error) {
      throw databaseError(error, statement.name);
    }
  }

  async transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(work);
      } catch (error) {
        const code = String((error as { code?: unknown }).code);
        if (!RETRIED_CODES.has(code) || attempt >= TRANSACTION_TRIES) {
          throw error;
        }
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.pool.end();
    return this.#closing;
  }

  async #once<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    const client = await this.pool.connect().catch((error: unknown) => {
      throw databaseError(error, "connect");
    });
    let broken: Error | undefined;
    try {
      await client.query("BEGIN");
      const result = await work(this.#within(client));
      await client.query("COMMIT");
      return result;
    } catch (error) {
      await client.query("ROLLBACK").catch((cause: Error) => (broken = cause));
      throw databaseError(error, "transaction");
    } finally {
      client.release(broken);
    }
  }

  #within(client: PoolClient): Queryable {
    const named = !this.singleSession;
    return {
      query: async <Row extends QueryResultRow>(statement: Statement, values: unknown[] = []) => {
        const query = named ? { ...statement, values } : { text: statement.text, values };
        return (await client.query<Row>(query)).rows;
      },
    };
  }
}

const AWAY_CODES = new Set([
  ...["ECONNREFUSED", "ECONNRESET", "ENOENT", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENOTFOUND"],
  ...["EAI_AGAIN", "57P01", "57P02", "57P03", "57P05", "25P03", "53300", "25006"],
]);
/** What the pool says when none of its connections became free; a new one fails with other words. */
const POOL_FULL = "timeout exceeded when trying to connect";
const AWAY_TEXT =
  /connection terminated|timeout (exceeded|expired)|not queryable|client was closed/i;

/** Whether an error means that the server cannot be reached now, or cannot be written to. */
export function isDatabaseAway(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const text = String(code);
  return (
    text === "GV_DATABASE_UNAVAILABLE" ||
    AWAY_CODES.has(text) ||
    /^08/.test(text) ||
    (code === undefined && AWAY_TEXT.test(String(message)))
  );
}

/** What only somebody's hand mends, by Postgres' code. */
const REFUSED: { readonly [code: string]: string } = {
  "28P01": "correct user and password of database_url",
  "28000": "correct the user of database_url, or what pg_hba.conf says of it",
  "3D000": "correct the database's name in database_url, or make it: CREATE DATABASE",
  "42501":
    "the role of database_url lacks rights; the schema's owner gives what the engine needs: " +
    '"gavotte migrate --grant ROLE"',
};

/** The error to throw for one of the driver: GV_DATABASE_UNAVAILABLE, GV_BAD_CONFIG, or itself. */
export function databaseError(error: unknown, what: string): unknown {
  if ((error as { code?: unknown }).code === "ERR_INVALID_URL") {
    const remedy = "what user and password hold of : / ? # @ and % has to be percent-encoded";
    return new GavotteError("GV_BAD_CONFIG", `database_url cannot be read: ${remedy}`);
  }
  if (error instanceof GavotteError) {
    return error;
  }
  const refused = REFUSED[String((error as { code?: unknown }).code)];
  if (refused !== undefined) {
    const message = `Postgres refuses this (${what}: ${(error as Error).message}): ${refused}`;
    return new GavotteError("GV_BAD_CONFIG", message, { cause: error });
  }
  if (!isDatabaseAway(error)) {
    return error;
  }
  const reason = error instanceof Error ? error.message : String(error);
  const message =
    reason === POOL_FULL
      ? `no connection to Postgres became free in time (${what}): all of this process are busy; ` +
        "look for slow statements and locks in pg_stat_activity, application_name gavotte:*"
      : `Postgres cannot be reached (${what}: ${reason}); check the database URL and that it runs`;
  return new GavotteError("GV_DATABASE_UNAVAILABLE", message, { cause: error });
}
