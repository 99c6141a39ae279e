/**
 * Processes of a measurement: each part of a stack in a process of its own, as in production, with
 * its CPU time to be read from outside.
 */
import { fork } from "node:child_process";
import { ROLE } from "./build.ts";
import type { FloorOptions } from "./floor/names.ts";
import { profileFile } from "./profiles.ts";

/** What every role of role.ts gives back to be stopped. */
export interface RolePart {
  stop(): Promise<void>;
  /** Told to the bench once it runs. */
  url?: string;
  /** Answers a question of the bench. */
  ask?(question: unknown): Promise<unknown>;
}

export interface EngineRoleOptions {
  redisUrl: string;
  databaseUrl: string;
  singleSession: boolean;
  concurrency: number;
  partitions: number;
  id: string;
  backlogRecordsMax?: number;
}

export interface WatchersOptions {
  /** `http://host:port` of the gateway. */
  url: string;
}

/** Names of roles and what they are started with. */
export interface RoleOptions {
  "floor-worker": FloorOptions;
  "floor-archiver": FloorOptions;
  supervisor: EngineRoleOptions;
  worker: EngineRoleOptions;
  gateway: EngineRoleOptions;
  watchers: WatchersOptions;
}

export interface RoleProcess {
  readonly pid: number;
  /** What it listens on; "" if it does not. */
  readonly url: string;
  /** The last number it reported. */
  reported(): number;
  /** Resolves when it has reported at least `count`; rejects when it dies before. */
  reaches(count: number): Promise<void>;
  /** Its answer to a question; one at a time. */
  ask<Answer>(question: unknown): Promise<Answer>;
  /** Stops it in good order, so that profiles are written. */
  stop(): Promise<void>;
}

/** What a role's process says. */
export interface RoleMessage {
  ready?: true;
  url?: string;
  count?: number;
  answer?: unknown;
}

/** Starts a role and resolves when it is running. `profile` names its CPU profile, null: none. */
export async function startRole<Name extends keyof RoleOptions>(
  name: Name,
  options: RoleOptions[Name],
  profile: string | null,
): Promise<RoleProcess> {
  const file = profile === null ? "" : profileFile(profile);
  const child = fork(ROLE, [name, JSON.stringify(options), file], { execArgv: [] });
  let [reported, url] = [0, ""];
  let answered: (answer: unknown) => void = () => undefined;
  const waiting = new Set<() => void>();
  const failed = new Promise<never>((_, reject) => {
    child.once("exit", (code) => reject(new Error(`the process "${name}" ended with ${code}`)));
  });
  failed.catch(() => undefined);
  const gone = new Promise<void>((done) => child.once("exit", () => done()));
  const ready = new Promise<void>((done) => {
    child.on("message", (message: RoleMessage) => {
      reported = message.count ?? reported;
      url = message.url ?? url;
      if (message.ready === true) {
        done();
      }
      if ("answer" in message) {
        answered(message.answer);
      }
      waiting.forEach((look) => look());
    });
  });
  await Promise.race([ready, failed]);
  return {
    pid: child.pid ?? 0,
    url,
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
    ask<Answer>(question: unknown) {
      const answer = new Promise<unknown>((done) => (answered = done));
      child.send({ ask: question });
      return Promise.race([answer, failed]) as Promise<Answer>;
    },
    async stop() {
      if (child.connected) {
        child.send({ stop: true }, () => undefined);
      }
      await gone;
    },
  };
}
