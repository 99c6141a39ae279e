/**
 * The embedded stack: Redis and Postgres for one machine, without anything to set up.
 *
 * The first process that starts it in a folder is its owner: it runs redis-server (or valkey-server)
 * and PGlite as children on private sockets, with their data in that folder. Later processes attach.
 * The owner stops last: `stop` waits for the attached ones, unless told not to.
 *
 * Death at any point: the children watch the owner and end with it, in good order, within a second
 * (child.ts); the next start waits for them, so data is never opened twice. A child that dies is
 * started again (keeper.ts). An owner that dies leaves a lock nobody answers for (owner-lock.ts).
 */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { attach, Attachments, type Attachment } from "./control.ts";
import { Keeper } from "./keeper.ts";
import { claim } from "./owner-lock.ts";
import { startPglite, type PgliteChild } from "./pglite-child.ts";
import { startRedis, type RedisChild } from "./redis-child.ts";
import { freePort, socketDir } from "./sockets.ts";
import { removeStackFile, writeStackFile } from "./stack-file.ts";

export { readStackFile, type StackFile } from "./stack-file.ts";

export interface EmbeddedOptions {
  /** Folder of the data; made if missing. */
  dir: string;
  /** Told what is worth knowing: waiting, a child started again. */
  log: (message: string) => void;
  /**
   * Called by the owner once both run, before any other process is let in: the place for
   * migrations. Its failure stops the stack and is thrown.
   */
  prepare?: (stack: { redisUrl: string; databaseUrl: string }) => Promise<void>;
  /** Version of this program, left in stack.json. */
  version?: string;
}

export interface EmbeddedStack {
  /** For connectRedis. */
  readonly redisUrl: string;
  /** For connectPostgres, with `singleSession: true`: PGlite is one session (pglite-host.ts). */
  readonly databaseUrl: string;
  /** Whether this process runs the stack. */
  readonly owner: boolean;
  /** Process id of the owner. */
  readonly ownerPid: number;
  /** Resolves when the stack is gone without this process having stopped it. Never for the owner. */
  readonly lost: Promise<void>;
  /** How many other processes use the stack; 0 where this process is not the owner. */
  attachedCount(): number;
  /** Owner: writes the gateway's address into stack.json for the others. */
  announceGateway(url: string): void;
  /**
   * Leaves the stack. The owner waits until nobody is attached, then stops Redis and Postgres;
   * with `now`, also during an earlier call's wait, it stops them at once. Safe to repeat.
   */
  stop(options?: { now?: boolean }): Promise<void>;
}

/** Starts the stack in a folder, or attaches to the one that runs there. */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedStack> {
  const dir = resolve(options.dir);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const sockets = socketDir(dir);
  for (;;) {
    const attachments = new Attachments();
    const { owner, socket } = await claim(dir, sockets, attachments.server);
    if (owner) {
      const port = await freePort();
      const stack = new OwnedStack({ ...options, dir }, { sockets, control: socket, port });
      await stack.start(attachments);
      return stack;
    }
    const attachment = await attach(socket);
    if (attachment !== undefined) {
      return new AttachedStack(attachment);
    }
  }
}

interface Place {
  sockets: string;
  control: string;
  port: number;
}

class OwnedStack implements EmbeddedStack {
  readonly owner = true;
  readonly ownerPid = process.pid;
  readonly lost = new Promise<void>(() => undefined);
  readonly #options: EmbeddedOptions;
  readonly #place: Place;
  readonly #redis: Keeper<RedisChild>;
  readonly #postgres: Keeper<PgliteChild>;
  #attachments: Attachments | undefined;
  redisUrl = "";
  databaseUrl = "";
  #stopping: Promise<void> | undefined;
  #stopNow: () => void = () => undefined;

  constructor(options: EmbeddedOptions, place: Place) {
    const { dir, log } = options;
    const { sockets, port } = place;
    const redis = { dataDir: join(dir, "redis"), socket: join(sockets, "redis.sock") };
    this.#options = options;
    this.#place = place;
    this.#redis = new Keeper("Redis", () => startRedis({ ...redis, dockerPort: port }), log);
    this.#postgres = new Keeper("Postgres", () => startPglite(join(dir, "pg"), sockets), log);
  }

  /** Starts both; when one fails, the other is stopped and the ownership given up. */
  async start(attachments: Attachments): Promise<void> {
    this.#attachments = attachments;
    const started = await Promise.allSettled([this.#redis.start(), this.#postgres.start()]);
    const [redis, postgres] = started;
    if (redis.status === "rejected" || postgres.status === "rejected") {
      await this.#end();
      throw started.find((result) => result.status === "rejected")?.reason;
    }
    this.redisUrl = redis.value.url;
    this.databaseUrl = postgres.value.url;
    const addresses = { redisUrl: this.redisUrl, databaseUrl: this.databaseUrl, pid: process.pid };
    try {
      await this.#options.prepare?.(addresses);
    } catch (error) {
      await this.#end();
      throw error;
    }
    this.#write({});
    attachments.announce(addresses);
  }

  attachedCount(): number {
    return this.#attachments?.count ?? 0;
  }

  announceGateway(url: string): void {
    this.#write({ gateway: url });
  }

  stop(options: { now?: boolean } = {}): Promise<void> {
    this.#stopping ??= this.#leaveLast(options.now ?? false);
    if (options.now) {
      this.#stopNow();
    }
    return this.#stopping;
  }

  async #leaveLast(now: boolean): Promise<void> {
    const attachments = this.#attachments;
    if (attachments !== undefined && attachments.count > 0 && !now) {
      const { count } = attachments;
      const which = count === 1 ? "1 other process uses" : `${count} other processes use`;
      this.#options.log(`${which} this stack; it stops after them (interrupt again: at once)`);
      await Promise.race([
        attachments.empty(),
        new Promise<void>((done) => {
          this.#stopNow = done;
        }),
      ]);
    }
    await this.#end();
  }

  /** The ownership is given up last: nobody may open the data before it is closed. */
  async #end(): Promise<void> {
    this.#attachments?.retract();
    removeStackFile(this.#options.dir);
    const stopped = await Promise.allSettled([this.#redis.stop(), this.#postgres.stop()]);
    await this.#attachments?.close();
    const failed = stopped.find((result) => result.status === "rejected");
    if (failed !== undefined) {
      throw failed.reason;
    }
  }

  #write(more: { gateway?: string }): void {
    writeStackFile(this.#options.dir, {
      pid: process.pid,
      version: this.#options.version ?? "",
      redisUrl: this.redisUrl,
      databaseUrl: this.databaseUrl,
      control: this.#place.control,
      ...more,
    });
  }
}

class AttachedStack implements EmbeddedStack {
  readonly owner = false;
  readonly redisUrl: string;
  readonly databaseUrl: string;
  readonly ownerPid: number;
  readonly lost: Promise<void>;
  readonly #attachment: Attachment;
  #left = false;

  constructor(attachment: Attachment) {
    const { redisUrl, databaseUrl, pid } = attachment.addresses;
    this.#attachment = attachment;
    this.redisUrl = redisUrl;
    this.databaseUrl = databaseUrl;
    this.ownerPid = pid;
    this.lost = new Promise((lost) => {
      void attachment.ended.then(() => {
        if (!this.#left) {
          lost();
        }
      });
    });
  }

  attachedCount(): number {
    return 0;
  }

  announceGateway(): void {
    throw new Error("only the owner of the embedded stack runs its gateway");
  }

  async stop(): Promise<void> {
    this.#left = true;
    this.#attachment.leave();
    await this.#attachment.ended;
  }
}
