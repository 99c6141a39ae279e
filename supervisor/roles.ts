/**
 * Exclusive roles: one process at a time serves a partition.
 *
 * A role is a session-level advisory lock on a connection that this process keeps for nothing else:
 * when the process or its session dies, Postgres frees the lock and a process standing by gets it
 * with its next try. A process that loses the session stops its roles at once; what it had in
 * flight is harmless, because whatever it commits names the cursor it started from. (Locks need a
 * session: not through a pooler that shares sessions between transactions.)
 *
 * With `singleSession` (PGlite) there is nobody to share with: every role is granted.
 */
import type { PoolClient } from "pg";
import type { Logger } from "pino";
import type { Service } from "../sdk/internal.ts";
import type { Database } from "../sdk/postgres/index.ts";
import { Loop, within } from "./loop.ts";

export interface Role {
  /** Number of the lock, the same in every process. */
  key: number;
  name: string;
  /** Makes the service that runs while the role is held. */
  open(): Service;
}

/** Namespace of the engine's advisory locks. */
const LOCK_CLASS = 0x6776;
const TRY_MS = 1000;
const ANSWER_MS_MAX = 5000;
const STOP_MS = 5000;
const TRY_LOCK = `SELECT key, pg_try_advisory_lock($1, key) AS granted
  FROM unnest($2::integer[]) AS key`;

export class Roles extends Loop {
  readonly #db: Database;
  readonly #logger: Logger;
  readonly #roles: readonly Role[];
  readonly #held = new Map<number, Service>();
  #client: PoolClient | null = null;

  constructor(db: Database, logger: Logger, roles: readonly Role[]) {
    super({
      name: "roles",
      logger,
      step: async () => {
        await this.#look();
        return TRY_MS;
      },
      close: () => this.#drop(null),
    });
    this.#db = db;
    this.#logger = logger;
    this.#roles = roles;
  }

  /** Names of the roles that this process holds. */
  get held(): string[] {
    return this.#roles.filter((role) => this.#held.has(role.key)).map((role) => role.name);
  }

  /** Takes roles that are free, and finds out whether the session still lives. */
  async #look(): Promise<void> {
    const free = this.#roles.filter((role) => !this.#held.has(role.key));
    const granted = this.#db.singleSession ? free : await this.#tryLock(free);
    for (const role of granted) {
      const service = role.open();
      this.#held.set(role.key, service);
      this.#logger.info({ role: role.name }, "role taken");
      try {
        await service.start();
      } catch (error) {
        await this.#drop(error as Error);
        throw error;
      }
    }
  }

  async #tryLock(free: readonly Role[]): Promise<Role[]> {
    this.#client ??= await this.#session();
    const client = this.#client;
    const keys = free.map((role) => role.key);
    const asked = client.query<{ key: number; granted: boolean }>(TRY_LOCK, [LOCK_CLASS, keys]);
    let answered = false;
    const seen = asked.then(
      () => (answered = true),
      (error: Error) => this.#drop(error),
    );
    await within(seen, ANSWER_MS_MAX);
    if (!answered) {
      await this.#drop(new Error("the session that holds the roles does not answer"));
    }
    const { rows } = await asked;
    const got = new Set(rows.filter((row) => row.granted).map((row) => row.key));
    return free.filter((role) => got.has(role.key));
  }

  async #session(): Promise<PoolClient> {
    const client = await this.#db.pool.connect();
    client.on("error", (error) => {
      void this.#drop(error);
    });
    return client;
  }

  /** Stops all roles; with an error the session is destroyed, which frees its locks. */
  async #drop(error: Error | null): Promise<void> {
    const client = this.#client;
    this.#client = null;
    const services = [...this.#held.values()];
    this.#held.clear();
    if (error !== null && services.length > 0) {
      this.#logger.error({ err: error }, "the session is lost; its roles stop");
    }
    await Promise.all(services.map((service) => service.stop(STOP_MS)));
    // Destroyed rather than given back: a pooled session would keep the locks.
    client?.release(error ?? true);
  }
}
