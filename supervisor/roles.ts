/**
 * Exclusive roles: one process at a time serves a partition.
 *
 * A role is a session-level advisory lock on a connection that this process keeps for nothing else:
 * when the process or its session dies, Postgres frees the lock and a process standing by gets it
 * with its next try. A process that loses the session stops its roles at once; what it had in
 * flight is harmless, because whatever it commits names the cursor it started from. (Locks need a
 * session: not through a pooler that shares sessions between transactions.)
 *
 * A process that is frozen, or whose machine is gone, closes nothing: TCP would tell Postgres of the
 * machine after two hours, and never of the process. So Postgres ends the session when it is asked
 * nothing for LOST_MS; a process that lives asks with every look, several times in that.
 *
 * Who takes part holds a shared lock as well, so everybody can count how many there are. A process
 * with more than its share gives one role up at each look, and leaves it to others for a while: one
 * that has come lately takes it. Free roles are taken whoever has how many; if what was given up
 * comes back, nobody wants it (who hangs is counted, too), and no more is given up for some minutes,
 * or until the number of processes changes.
 *
 * With `singleSession` (PGlite) there is nobody to share with: every role is granted.
 */
import type { PoolClient, QueryResultRow } from "pg";
import type { Logger } from "pino";
import { inTime, type Service } from "../sdk/internal.ts";
import type { Database, Queryable } from "../sdk/postgres/index.ts";
import { Loop } from "./loop.ts";

export interface Role {
  /** Number of the lock, the same in every process. */
  key: number;
  name: string;
  /** Makes the service that runs while the role is held. */
  open(): Service;
}

export interface RolesTimes {
  /** Between two looks, ms. */
  tryMs?: number;
  /** A session that does not answer for so long is lost, ms. */
  answerMs?: number;
  /** After so long without a question Postgres ends the session, ms; well above `tryMs`. */
  lostMs?: number;
}

/** Namespace of the engine's advisory locks. */
const LOCK_CLASS = 0x6776;
const TRY_MS = 1000;
const ANSWER_MS_MAX = 5000;
const STOP_MS = 5000;
/** A look may take an answer's time, and that of a role that stops: less than this together. */
const LOST_MS = 15_000;
/** Looks for which a role that was given up is left to others. */
const OFFER_LOOKS = 5;
/** Looks after which it is offered again, should nobody have wanted it. */
const UNWANTED_LOOKS = 300;
/** The lock that all processes share. */
const MEMBER_KEY = 0x7fff_ffff;
const TRY_LOCK = `SELECT key, pg_try_advisory_lock($1, key) AS granted
  FROM unnest($2::integer[]) AS key`;
const UNLOCK = "SELECT pg_advisory_unlock($1, $2)";
const LIMIT = "SELECT set_config('idle_session_timeout', $1, false)";
const JOIN = "SELECT pg_advisory_lock_shared($1, $2)";
const MEMBERS = `SELECT count(*)::integer AS count FROM pg_locks
  WHERE locktype = 'advisory' AND classid = $1::oid AND objid = $2::oid AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
const COUNT = {
  name: "roles_count",
  text: `SELECT members.count, version() LIKE '% emcc %' AS "isShared" FROM (${MEMBERS}) AS members`,
};

/**
 * How many processes take part: supervisors that run. Null for a PGlite, which has one session for all
 * and no locks: who runs one runs a supervisor beside it.
 */
export async function countSupervisors(db: Queryable): Promise<number | null> {
  const values = [LOCK_CLASS, MEMBER_KEY];
  const [row] = await db.query<{ count: number; isShared: boolean }>(COUNT, values);
  return row === undefined || row.isShared ? null : row.count;
}

export class Roles extends Loop {
  readonly #db: Database;
  readonly #logger: Logger;
  readonly #roles: readonly Role[];
  readonly #held = new Map<number, Service>();
  readonly #answerMs: number;
  readonly #lostMs: number;
  #client: PoolClient | null = null;
  #isClosed = false;
  /** Held when the session was lost; none once Postgres has said again who has what. */
  #lost: readonly number[] = [];
  /** Roles that were given up: for how many looks they are left to others, of how many processes. */
  readonly #offered = new Map<number, { looks: number; count: number }>();
  /** With how many processes nobody wanted what was given up, and for how many looks more it counts. */
  #unwanted = { count: 0, looks: 0 };

  constructor(db: Database, logger: Logger, roles: readonly Role[], times: RolesTimes = {}) {
    const { tryMs = TRY_MS, answerMs = ANSWER_MS_MAX, lostMs = LOST_MS } = times;
    super({
      name: "roles",
      logger,
      step: async () => {
        await this.#look();
        return tryMs;
      },
      close: () => {
        this.#isClosed = true;
        return this.#drop(null);
      },
    });
    this.#db = db;
    this.#answerMs = answerMs;
    this.#lostMs = lostMs;
    this.#logger = logger;
    this.#roles = roles;
  }

  /** Names of the roles that this process holds. */
  get held(): string[] {
    return this.#roles.filter((role) => this.#held.has(role.key)).map((role) => role.name);
  }

  /** Keys of the same. */
  get heldKeys(): number[] {
    return [...this.#held.keys()];
  }

  /**
   * Those that this process speaks for: the held ones, and while Postgres cannot be asked those that it
   * held last. As long as it is away for all nobody else can have them.
   */
  get spokenForKeys(): number[] {
    return [...new Set([...this.#held.keys(), ...this.#lost])];
  }

  /** Takes roles that are free, and finds out whether the session still lives. */
  async #look(): Promise<void> {
    const free = this.#roles.filter((role) => !this.#held.has(role.key) && this.#mayTry(role));
    const single = this.#db.singleSession;
    const granted = single ? free : await this.#tryLock(free);
    const session = this.#client;
    // What was granted in a session that is over is somebody else's: also while others start.
    const isOver = (): boolean => this.#client !== session || (session === null && !single);
    if (!isOver()) {
      this.#lost = [];
    }
    for (const role of granted) {
      if (isOver()) {
        return;
      }
      const service = role.open();
      this.#held.set(role.key, service);
      const offer = this.#offered.get(role.key);
      if (offer !== undefined) {
        this.#unwanted = { count: offer.count, looks: UNWANTED_LOOKS };
        this.#offered.delete(role.key);
      }
      this.#logger.info({ of: role.name }, "role taken");
      try {
        await service.start();
      } catch (error) {
        await this.#drop(error as Error);
        throw error;
      }
    }
    if (this.#held.size > 1 && !single) {
      await this.#share();
    }
  }

  /** Gives one role up if others have a claim to it. */
  async #share(): Promise<void> {
    const [{ count }] = await this.#ask<{ count: number }>(MEMBERS, [LOCK_CLASS, MEMBER_KEY]);
    const role = this.#roles.findLast(({ key }) => this.#held.has(key));
    const isFair = this.#held.size <= Math.ceil(this.#roles.length / count);
    const isUnwanted = count === this.#unwanted.count && this.#unwanted.looks-- > 0;
    if (isFair || role === undefined || isUnwanted) {
      return;
    }
    await this.#held.get(role.key)?.stop(STOP_MS);
    if (this.#held.delete(role.key)) {
      this.#offered.set(role.key, { looks: OFFER_LOOKS, count });
      this.#logger.info({ of: role.name, processes: count }, "role given up to others");
      await this.#ask(UNLOCK, [LOCK_CLASS, role.key]);
    }
  }

  /** Not while it is left to others. */
  #mayTry({ key }: Role): boolean {
    const offer = this.#offered.get(key);
    return offer === undefined || offer.looks-- <= 0;
  }

  async #tryLock(free: readonly Role[]): Promise<Role[]> {
    const keys = free.map((role) => role.key);
    const values = [LOCK_CLASS, keys];
    const rows = await this.#ask<{ key: number; granted: boolean }>(TRY_LOCK, values);
    const got = new Set(rows.filter((row) => row.granted).map((row) => row.key));
    return free.filter((role) => got.has(role.key));
  }

  /** Asks the session that holds the roles; one that does not answer in time has lost them. */
  async #ask<Row extends QueryResultRow>(
    text: string,
    values: unknown[],
  ): Promise<[Row, ...Row[]]> {
    const client = (this.#client ??= await this.#session());
    try {
      return (await this.#answer<Row>(client, text, values)) as [Row, ...Row[]];
    } catch (error) {
      await this.#drop(error as Error);
      throw error;
    }
  }

  /** One that takes part. What cannot be had in time is not kept: the pool has few. */
  async #session(): Promise<PoolClient> {
    const client = await this.#db.pool.connect();
    client.on("error", (error) => {
      void (this.#client === client && this.#drop(error));
    });
    try {
      await this.#answer(client, LIMIT, [String(this.#lostMs)]);
      await this.#answer(client, JOIN, [LOCK_CLASS, MEMBER_KEY]);
      if (this.#isClosed) {
        throw new Error("it is stopped");
      }
    } catch (error) {
      client.release(error as Error);
      throw error;
    }
    return client;
  }

  async #answer<Row extends QueryResultRow>(
    client: PoolClient,
    text: string,
    values: unknown[],
  ): Promise<Row[]> {
    const asked = client.query<Row>(text, values).then(({ rows }) => rows);
    const rows = await inTime<Row[] | null>(asked, this.#answerMs, null);
    if (rows === null) {
      throw new Error("the session that holds the roles does not answer");
    }
    return rows;
  }

  /** Stops all roles; with an error the session is destroyed, which frees its locks. */
  async #drop(error: Error | null): Promise<void> {
    const client = this.#client;
    this.#client = null;
    const services = [...this.#held.values()];
    this.#lost = error === null ? [] : this.spokenForKeys;
    this.#held.clear();
    this.#offered.clear();
    if (error !== null && services.length > 0) {
      this.#logger.error({ err: error }, "the session is lost; its roles stop");
    }
    await Promise.all(services.map((service) => service.stop(STOP_MS)));
    // Destroyed rather than given back: a pooled session would keep the locks.
    client?.release(error ?? true);
  }
}
