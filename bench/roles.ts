/**
 * Processes of a measurement: each part of a stack in a process of its own, as in production, with
 * its CPU time to be read from outside.
 */
import { fork } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { FloorOptions } from "./floor/names.ts";

/** What every role of role.ts gives back to be stopped. */
export interface RolePart {
  stop(): Promise<void>;
}

export interface EngineRoleOptions {
  redisUrl: string;
  databaseUrl: string;
  singleSession: boolean;
  concurrency: number;
}

/** Names of roles and what they are started with. */
export interface RoleOptions {
  "floor-worker": FloorOptions;
  "floor-archiver": FloorOptions;
  supervisor: EngineRoleOptions;
  worker: EngineRoleOptions;
}

export interface RoleProcess {
  readonly pid: number;
  /** The last number it reported. */
  reported(): number;
  /** Resolves when it has reported at least `count`; rejects when it dies before. */
  reaches(count: number): Promise<void>;
  /** Stops it in good order, so that profiles are written. */
  stop(): Promise<void>;
}

const PROFILES = fileURLToPath(new URL("profiles/", import.meta.url));

/** Starts a role and resolves when it is running. */
export async function startRole<Name extends keyof RoleOptions>(
  name: Name,
  options: RoleOptions[Name],
  profile: boolean,
): Promise<RoleProcess> {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  if (profile) {
    mkdirSync(PROFILES, { recursive: true });
  }
  const flags = [`--cpu-prof`, `--cpu-prof-dir=${PROFILES}`];
  const execArgv = ["--import", loader, ...(profile ? flags : [])];
  const path = fileURLToPath(new URL("role.ts", import.meta.url));
  const child = fork(path, [name, JSON.stringify(options)], { execArgv });
  let reported = 0;
  const waiting = new Set<() => void>();
  const failed = new Promise<never>((_, reject) => {
    child.once("exit", (code) => reject(new Error(`the process "${name}" ended with ${code}`)));
  });
  failed.catch(() => undefined);
  const gone = new Promise<void>((done) => child.once("exit", () => done()));
  const ready = new Promise<void>((done) => {
    child.on("message", (message: { ready?: true; count?: number }) => {
      reported = message.count ?? reported;
      if (message.ready === true) {
        done();
      }
      waiting.forEach((look) => look());
    });
  });
  await Promise.race([ready, failed]);
  return {
    pid: child.pid ?? 0,
    reported: () => reported,
    async reaches(count) {
      let look = (): void => undefined;
      const reached = new Promise<void>((done) => {
        look = () => (reported >= count ? done() : undefined);
        waiting.add(look);
        look();
      });
      await Promise.race([reached, failed]).finally(() => waiting.delete(look));
    },
    async stop() {
      if (child.connected) {
        child.send({ stop: true }, () => undefined);
      }
      await gone;
    },
  };
}
