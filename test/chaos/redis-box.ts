/**
 * A Redis that can be treated badly: killed, frozen, robbed of the end of its log, left without room
 * on its disk, its clock moved. Its disk is a tmpfs of its own where this process may mount one, and its
 * clock a preloaded one where there is a C compiler; what cannot be done here says why.
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { startRedis, type RedisChild } from "../../cmd/embedded/redis-child.ts";
import { connectRedis } from "../../sdk/internal.ts";

const DISK = "size=1g";
/** Blocks that a full disk may still have: Redis has written them a moment later. */
const SPARE_MAX = 4096;
const CLOCK_SOURCE = new URL("./clock.c", import.meta.url).pathname;
/** The clock's file is mapped: its text is written over, never made longer. */
const CLOCK_WIDTH = 15;

export class RedisBox {
  readonly #dir: string;
  readonly #data: string;
  /** The library that moves a process's clock; null: there is none. */
  readonly #library: string | null;
  readonly #isMounted: boolean;
  /** How often it refused its log, which then lost its end. */
  logsMended = 0;
  #server: RedisChild | null = null;
  #pid = 0;

  /** `dir` holds the data, the socket and the clock. */
  constructor(dir: string) {
    this.#dir = dir;
    this.#data = join(dir, "redis");
    mkdirSync(this.#data, { recursive: true });
    this.#isMounted = run("mount", ["-t", "tmpfs", "-o", DISK, "tmpfs", this.#data]);
    const library = join(dir, "clock.so");
    const made = run("cc", ["-shared", "-fPIC", "-O2", "-o", library, CLOCK_SOURCE]);
    this.#library = made ? library : null;
  }

  /** Why the disk cannot be filled here; null if it can. */
  get noDisk(): string | null {
    return this.#isMounted ? null : "no tmpfs may be mounted here";
  }

  /** Why the clock cannot be moved here; null if it can. */
  get noClock(): string | null {
    return this.#library === null ? "there is no C compiler" : null;
  }

  get url(): string {
    return this.#server?.url ?? "";
  }

  get socket(): string {
    return join(this.#dir, "r.sock");
  }

  /**
   * Starts it on its data. A log that it refuses loses its end first: Redis 7.0 may leave half a
   * command in the middle when its disk was full (docs/recovery.md), and says to mend it so.
   */
  async start(): Promise<void> {
    const { socket } = this;
    const env = { ...process.env, ...this.clock("redis", 0) };
    const start = (): Promise<RedisChild> => startRedis({ dataDir: this.#data, socket, env });
    this.#server = await start().catch((error: unknown) => {
      if (!this.#mendLog()) {
        throw error;
      }
      this.logsMended += 1;
      return start();
    });
    const redis = connectRedis({ url: this.url }, "chaos:start");
    const [, pid] = /process_id:(\d+)/.exec(await redis.info("server")) ?? [];
    redis.disconnect();
    this.#pid = Number(pid);
  }

  /** `kill -9`; it is gone when this resolves. */
  async kill(): Promise<void> {
    process.kill(this.#pid, "SIGKILL");
    await this.#server?.ended;
  }

  /** It stands still until `thaw`; connections stay. */
  freeze(): void {
    process.kill(this.#pid, "SIGSTOP");
  }

  thaw(): void {
    process.kill(this.#pid, "SIGCONT");
  }

  /** While it is down: so much of the end of the append-only file is lost. */
  cutLog(bytes: number): void {
    const folder = join(this.#data, "appendonlydir");
    const log = readdirSync(folder).find((name) => name.endsWith(".incr.aof"));
    if (log !== undefined) {
      const path = join(folder, log);
      truncateSync(path, Math.max(0, statSync(path).size - bytes));
    }
  }

  /** False: there is nothing to mend, or it cannot be mended. */
  #mendLog(): boolean {
    const folder = join(this.#data, "appendonlydir");
    const manifest = existsSync(folder)
      ? readdirSync(folder).find((name) => name.endsWith(".manifest"))
      : undefined;
    const check = ["--fix", join(folder, manifest ?? "")];
    return manifest !== undefined && run("redis-check-aof", check, "y\n");
  }

  /** Leaves no room on the disk until `emptyDisk`. */
  fillDisk(): void {
    // Redis goes on writing meanwhile, and a disk cannot be made smaller than what is on it.
    for (let spare = 1; ; spare *= 2) {
      const { blocks, bfree, bsize } = statfsSync(this.#data);
      try {
        this.#resize(`size=${(blocks - bfree + spare) * bsize}`);
        return;
      } catch (error) {
        if (spare > SPARE_MAX) {
          throw error;
        }
      }
    }
  }

  emptyDisk(): void {
    this.#resize(DISK);
  }

  #resize(size: string): void {
    execFileSync("mount", ["-o", `remount,${size}`, this.#data], { stdio: "ignore" });
  }

  /**
   * Sets a clock to the right time plus this, in seconds; the environment of processes that go by
   * it, those started before included. That of Redis is named `redis`.
   */
  clock(name: string, seconds: number): NodeJS.ProcessEnv {
    const path = join(this.#dir, `clock-${name}`);
    writeFileSync(path, String(seconds).padEnd(CLOCK_WIDTH), {
      flag: existsSync(path) ? "r+" : "w",
    });
    return this.#library === null ? {} : { GV_CLOCK: path, LD_PRELOAD: this.#library };
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    if (this.#isMounted) {
      run("umount", ["-l", this.#data]);
    }
  }
}

function run(program: string, args: readonly string[], input = ""): boolean {
  try {
    execFileSync(program, args, { input, stdio: ["pipe", "ignore", "ignore"] });
    return true;
  } catch {
    return false;
  }
}
