/**
 * The whole engine as real processes, each of which can be killed, frozen and started again: Redis
 * with its append-only file, Postgres, supervisors, workers, a gateway.
 */
import { fork, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { chmod, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { socketUrl } from "../../cmd/embedded/redis-child.ts";
import { connectRedis, type Redis } from "../../sdk/internal.ts";
import { connectPostgres, migrate, type Database } from "../../sdk/postgres/index.ts";
import type { RoleOptions } from "../e2e/role.ts";
import {
  localPostgresUrl,
  postgresSocket,
  startLocalPostgres,
  type LocalPostgres,
} from "../support/postgres-local.ts";
import { buildRole } from "./build.ts";
import { Line } from "./line.ts";
import { RedisBox } from "./redis-box.ts";

export const LEASE_MS = 1500;
const POSTGRES_TRIES = 20;

export const ROLES = ["supervisor", "worker", "gateway"] as const;
export type Role = (typeof ROLES)[number];

/** Redis, Postgres and the roles. */
export class ChaosStack {
  readonly dir: string;
  readonly db: Database;
  readonly redis: Redis;
  readonly box: RedisBox;
  /** Processes that ended without being killed. */
  readonly fallen: string[] = [];
  readonly roles: Record<Role, ChildProcess[]> = { supervisor: [], worker: [], gateway: [] };
  /** Laid over the options of every process that is started. */
  more: Partial<RoleOptions> = {};
  /** Address of the gateway that was started last. */
  gatewayUrl = "";
  #database: LocalPostgres;
  /** The roles' program. */
  readonly #program: string;
  readonly #lines: Line[] = [];
  #serial = 0;

  private constructor(
    dir: string,
    program: string,
    box: RedisBox,
    database: LocalPostgres,
    db: Database,
  ) {
    this.dir = dir;
    this.#program = program;
    this.box = box;
    this.#database = database;
    this.db = db;
    this.redis = connectRedis({ url: box.url }, "chaos");
  }

  /** Starts the stores; throws where no local Postgres can be had. */
  static async start(): Promise<ChaosStack> {
    const dir = mkdtempSync(join(tmpdir(), "gv-chaos-"));
    await chmod(dir, 0o755);
    const database = await startLocalPostgres(join(dir, "postgres"), { durable: true });
    if (database === undefined) {
      throw new Error("the chaos suite needs a Postgres on this machine: install one (initdb)");
    }
    const box = new RedisBox(dir);
    await box.start();
    const db = connectPostgres({ url: database.url, name: "chaos", connectionsMax: 4 });
    await migrate(db);
    return new ChaosStack(dir, await buildRole(dir), box, database, db);
  }

  /**
   * Starts a role; its process, when it is up. `env` is laid over this process's environment, `own` over
   * the options of all.
   */
  async spawn(
    role: Role,
    env: NodeJS.ProcessEnv = {},
    own: Partial<RoleOptions> = {},
  ): Promise<ChildProcess> {
    this.#serial += 1;
    const options: RoleOptions = {
      redisUrl: this.box.url,
      databaseUrl: this.#database.url,
      singleSession: false,
      leaseMs: LEASE_MS,
      id: `${role}-${this.#serial}`,
      ...this.more,
      ...own,
    };
    const setting = { execArgv: [], env: { ...process.env, ...env } };
    const child = fork(this.#program, [role, JSON.stringify(options)], setting);
    this.roles[role].push(child);
    // Nothing here may end by itself, whatever becomes of the stores.
    child.once("exit", (code, signal) => {
      if (signal !== "SIGKILL") {
        this.fallen.push(`${options.id} ended by itself: ${signal ?? `exit ${code}`}`);
      }
    });
    await new Promise<void>((resolve, reject) => {
      child.once("message", (text: string) => {
        this.gatewayUrl = role === "gateway" ? text : this.gatewayUrl;
        resolve();
      });
      child.once("exit", (code) => reject(new Error(`a ${role} ended with ${code}`)));
    });
    return child;
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

  /** Starts a role that reaches Redis and Postgres over lines of its own: these, in this order. */
  async spawnBehindLines(role: Role): Promise<readonly Line[]> {
    const folder = join(this.dir, `line-${this.#lines.length}`);
    mkdirSync(folder);
    const socket = join(folder, "r.sock");
    const lines = [
      await Line.open(socket, this.box.socket),
      await Line.open(postgresSocket(folder), postgresSocket(this.#database.sockets)),
    ];
    this.#lines.push(...lines);
    const urls = { redisUrl: socketUrl(socket), databaseUrl: localPostgresUrl(folder) };
    await this.spawn(role, {}, urls);
    return lines;
  }

  signal(role: Role, index: number, signal: "SIGSTOP" | "SIGCONT"): void {
    this.roles[role][index]?.kill(signal);
  }

  /**
   * Kills Redis without warning and starts it again on its data. `lostBytes`: so much of the end of
   * the append-only file is gone, as after a machine that went down before it was synced.
   */
  async restartRedis(lostBytes = 0): Promise<void> {
    await this.box.kill();
    if (lostBytes > 0) {
      this.box.cutLog(lostBytes);
    }
    await this.box.start();
  }

  /** Kills Postgres without warning; `startPostgres` brings it back with what was committed. */
  async killPostgres(): Promise<void> {
    await this.#database.kill();
  }

  freezePostgres(): void {
    this.#database.freeze();
  }

  thawPostgres(): void {
    this.#database.thaw();
  }

  async startPostgres(): Promise<void> {
    // Its processes may take a moment to die with their head, and refuse a second server so long.
    for (let tries = 1; ; tries++) {
      try {
        const again = await startLocalPostgres(join(this.dir, "postgres"), { durable: true });
        this.#database = again ?? this.#database;
        return;
      } catch (error) {
        if (tries === POSTGRES_TRIES) {
          throw error;
        }
      }
    }
  }

  async stop(): Promise<void> {
    for (const role of ROLES) {
      while (this.roles[role].length > 0) {
        await this.kill(role, 0);
      }
    }
    this.#lines.forEach((line) => line.close());
    this.redis.disconnect();
    await this.box.stop();
    await this.db.close();
    await this.#database.stop();
    await rm(this.dir, { recursive: true, force: true });
  }
}
