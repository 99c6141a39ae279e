/** Supervisors and workers as processes of their own, on stores that belong to one test file. */
import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectRedis, type Redis } from "../../sdk/internal.ts";
import type { Database } from "../../sdk/postgres/index.ts";
import { buildRole } from "../chaos/build.ts";
import { testDatabase, testRedis } from "../support/index.ts";
import type { RoleOptions } from "./role.ts";

const LEASE_MS = 1000;

export interface Processes {
  redis: Redis;
  db: Database;
  /** Resolves when it does its work. */
  start(role: "supervisor" | "worker", more?: Partial<RoleOptions>): Promise<ChildProcess>;
  /** `kill -9`; it is gone when this resolves. */
  kill(child: ChildProcess): Promise<void>;
  /** Ends all of them, and the stores. */
  close(): Promise<void>;
}

/** Stores without a process on them yet. */
export async function testProcesses(): Promise<Processes> {
  const dir = mkdtempSync(join(tmpdir(), "gv-roles-"));
  const program = await buildRole(dir);
  const stores = { redis: await testRedis(), database: await testDatabase() };
  const redis = connectRedis({ url: stores.redis.url }, "e2e");
  const children = new Set<ChildProcess>();
  let serial = 0;
  const kill = async (child: ChildProcess): Promise<void> => {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
    children.delete(child);
  };
  return {
    redis,
    db: stores.database.connect(),
    kill,
    async start(role, more = {}) {
      serial += 1;
      const options: RoleOptions = {
        redisUrl: stores.redis.url,
        databaseUrl: stores.database.url,
        singleSession: stores.database.singleSession,
        ...{ leaseMs: LEASE_MS, id: `${role}-${serial}`, ...more },
      };
      const child = fork(program, [role, JSON.stringify(options)], { execArgv: [] });
      children.add(child);
      await new Promise<void>((resolve, reject) => {
        child.once("message", () => resolve());
        child.once("exit", (code) => reject(new Error(`${role} ended with ${code}`)));
      });
      return child;
    },
    async close() {
      await Promise.all([...children].map(kill));
      redis.disconnect();
      await Promise.all([stores.redis.close(), stores.database.close()]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
