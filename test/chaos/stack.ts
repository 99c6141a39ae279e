/**
 * The whole engine as real processes, each of which can be killed, frozen and started again: Redis
 * with its append-only file, Postgres, supervisors, workers.
 */
import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, readdirSync, statSync, truncateSync } from "node:fs";
import { chmod, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRedis, type RedisChild } from "../../cmd/embedded/redis-child.ts";
import { connectRedis, type Redis } from "../../sdk/internal.ts";
import { connectPostgres, migrate, type Database } from "../../sdk/postgres/index.ts";
import type { RoleOptions } from "../e2e/role.ts";
import { startLocalPostgres } from "../support/postgres-local.ts";

const ROLE = new URL("../e2e/role.ts", import.meta.url);
export const LEASE_MS = 1500;

export type Role = "supervisor" | "worker";

/** Redis, Postgres and the roles. */
export class ChaosStack {
  readonly #dir: string;
  readonly #database: { url: string; stop(): Promise<void> };
  readonly db: Database;
  /** Processes that ended without being killed. */
  readonly fallen: string[] = [];
  readonly roles: Record<Role, ChildProcess[]> = { supervisor: [], worker: [] };
  #server: RedisChild;
  #redis: Redis;
  #serial = 0;

  private constructor(
    dir: string,
    server: RedisChild,
    database: { url: string; stop(): Promise<void> },
    db: Database,
  ) {
    this.#dir = dir;
    this.#server = server;
    this.#database = database;
    this.db = db;
    this.#redis = connectRedis({ url: server.url }, "chaos");
  }

  /** Starts the stores; throws where no local Postgres can be had. */
  static async start(): Promise<ChaosStack> {
    const dir = mkdtempSync(join(tmpdir(), "gv-chaos-"));
    await chmod(dir, 0o755);
    const server = await startRedis({ dataDir: join(dir, "redis"), socket: join(dir, "r.sock") });
    const database = await startLocalPostgres(join(dir, "postgres"));
    if (database === undefined) {
      throw new Error("the chaos suite needs a Postgres on this machine: install one (initdb)");
    }
    const db = connectPostgres({ url: database.url, name: "chaos", connectionsMax: 4 });
    await migrate(db);
    return new ChaosStack(dir, server, database, db);
  }

  get redis(): Redis {
    return this.#redis;
  }

  /** Starts a role and waits until it is up. */
  async spawn(role: Role): Promise<void> {
    this.#serial += 1;
    const options: RoleOptions = {
      redisUrl: this.#server.url,
      databaseUrl: this.#database.url,
      singleSession: false,
      leaseMs: LEASE_MS,
      id: `${role}-${this.#serial}`,
    };
    const execArgv = ["--import", "tsx"];
    const child = fork(ROLE, [role, JSON.stringify(options)], { execArgv });
    this.roles[role].push(child);
    // Nothing here may end by itself, whatever becomes of the stores.
    child.once("exit", (code, signal) => {
      if (signal !== "SIGKILL") {
        this.fallen.push(`${options.id} ended by itself: ${signal ?? `exit ${code}`}`);
      }
    });
    await new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("exit", (code) => reject(new Error(`a ${role} ended with ${code}`)));
    });
  }

  /** `kill -9`; the process is gone when this resolves. */
  async kill(role: Role, index: number): Promise<void> {
    const [child] = this.roles[role].splice(index, 1);
    if (child !== undefined && child.exitCode === null) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
    }
  }

  signal(role: Role, index: number, signal: "SIGSTOP" | "SIGCONT"): void {
    this.roles[role][index]?.kill(signal);
  }

  /**
   * Kills Redis without warning and starts it again on its data. `lostBytes`: so much of the end of
   * the append-only file is gone, as after a machine that went down before it was synced.
   */
  async restartRedis(lostBytes = 0): Promise<void> {
    const [, pid] = /process_id:(\d+)/.exec(await this.#redis.info("server")) ?? [];
    process.kill(Number(pid), "SIGKILL");
    await this.#server.ended;
    if (lostBytes > 0) {
      this.#cutLog(lostBytes);
    }
    const socket = join(this.#dir, "r.sock");
    this.#server = await startRedis({ dataDir: join(this.#dir, "redis"), socket });
  }

  #cutLog(bytes: number): void {
    const folder = join(this.#dir, "redis", "appendonlydir");
    const log = readdirSync(folder).find((name) => name.endsWith(".incr.aof"));
    if (log !== undefined) {
      const path = join(folder, log);
      truncateSync(path, Math.max(0, statSync(path).size - bytes));
    }
  }

  async stop(): Promise<void> {
    for (const role of ["worker", "supervisor"] as const) {
      while (this.roles[role].length > 0) {
        await this.kill(role, 0);
      }
    }
    this.#redis.disconnect();
    await this.#server.stop();
    await this.db.close();
    await this.#database.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
