/**
 * A Redis (or Valkey) server of our own, on a private socket, with its data in a folder.
 *
 * The append-only file is on and nothing is ever evicted: what was acknowledged is there after a
 * restart, up to the last second if the whole machine goes down. Snapshots are off; the append-only
 * file holds everything.
 */
import { existsSync, mkdirSync } from "node:fs";
import { connectRedis } from "../../sdk/internal.ts";
import { spawnWatched, within, type Child, type Watched } from "./child.ts";
import { dockerRedis, startDockerRedis } from "./redis-docker.ts";
import { findProgram } from "./find-program.ts";
import { freePort, isListening, pause, waitUntilSilent } from "./sockets.ts";

export interface RedisChildOptions {
  /** Folder of the data. */
  dataDir: string;
  /** Path of the socket; at most 103 bytes. */
  socket: string;
  /** Port of 127.0.0.1 to use should the server run in Docker; the same over restarts. */
  dockerPort?: number;
  /** Number of logical databases; 16 unless told. */
  databases?: number;
  /** Keep the data over a restart; true unless told. */
  persistent?: boolean;
  /** Environment of the server, instead of this process's. */
  env?: NodeJS.ProcessEnv;
}

export interface RedisChild extends Child {
  /** For connectRedis. */
  readonly url: string;
}

const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 20_000;
/** What the watchdog of a killed owner takes to stop its server, with room. */
const ORPHAN_LIMIT_MS = 3000;

/**
 * Starts a server and resolves when it answers, its data loaded.
 *
 * A server left by an owner that was killed is given time to end by itself and then told to: two
 * servers on one append-only file would ruin it.
 */
export async function startRedis(options: RedisChildOptions): Promise<RedisChild> {
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const program = findProgram(["redis-server", "valkey-server"]);
  if (program === undefined) {
    if (await dockerRedis()) {
      const port = options.dockerPort ?? (await freePort());
      return startDockerRedis(options.dataDir, port, settings(options));
    }
    throw new Error(
      "no Redis: neither redis-server nor valkey-server is on the PATH, and no Docker engine " +
        "answers; install one of them, or set GAVOTTE_REDIS_URL to a server you run",
    );
  }
  await endOrphan(options.socket);
  const private_ = ["--port", "0", "--unixsocket", options.socket, "--unixsocketperm", "700"];
  const args = [...private_, "--dir", options.dataDir, ...settings(options)];
  const child = spawnWatched(program, args, options.env ? { env: options.env } : {});
  const url = socketUrl(options.socket);
  await answering(child, options.socket, url, program);
  return { url, ended: child.ended, stop: () => stop(child, url) };
}

/** The URL connectRedis takes for the server on `socket`. */
export function socketUrl(socket: string, database = 0): string {
  return `unix://${encodeURI(socket)}?db=${database}`;
}

function settings(options: RedisChildOptions): string[] {
  const persistent = options.persistent ?? true;
  return [
    ...["--appendonly", persistent ? "yes" : "no", "--appendfsync", "everysec", "--save", ""],
    ...["--maxmemory-policy", "noeviction", "--databases", String(options.databases ?? 16)],
    ...["--daemonize", "no", "--loglevel", "warning"],
  ];
}

async function endOrphan(socket: string): Promise<void> {
  if (!existsSync(socket) || (await waitUntilSilent(socket, ORPHAN_LIMIT_MS))) {
    return;
  }
  await shutdown(socketUrl(socket));
  if (!(await waitUntilSilent(socket, STOP_LIMIT_MS))) {
    throw new Error(`a Redis of an earlier start still answers on ${socket}; stop it first`);
  }
}

async function answering(
  child: Watched,
  socket: string,
  url: string,
  program: string,
): Promise<void> {
  const over = child.ended.then((reason) => {
    throw new Error(`${program} did not start (${reason}): ${child.output() || "no output"}`);
  });
  const listening = async (): Promise<void> => {
    while (child.process.exitCode === null && !(await isListening(socket))) {
      await pause(10);
    }
  };
  try {
    await within(Promise.race([listening(), over]), START_LIMIT_MS, `${program} does not listen`);
    await within(Promise.race([loaded(url), over]), START_LIMIT_MS, `${program} does not answer`);
  } catch (error) {
    child.process.stdin?.end();
    throw error;
  } finally {
    over.catch(() => undefined);
  }
}

/** A server that still reads its data listens already, and answers every command with LOADING. */
async function loaded(url: string): Promise<void> {
  const redis = connectRedis({ url }, "embedded:start", { enableReadyCheck: false });
  try {
    for (;;) {
      const answer = await redis.ping().catch((error: Error) => error.message);
      if (!answer.startsWith("LOADING")) {
        return;
      }
      await pause(20);
    }
  } finally {
    redis.disconnect();
  }
}

async function stop(child: Watched, url: string): Promise<void> {
  if (child.process.exitCode === null && child.process.signalCode === null) {
    await shutdown(url);
  }
  child.process.stdin?.end();
  await within(child.ended, STOP_LIMIT_MS, "Redis does not stop");
}

/** Asks a server to write what it has and end; it answers only by closing the connection. */
async function shutdown(url: string): Promise<void> {
  const redis = connectRedis({ url }, "embedded:stop", { retryStrategy: () => null });
  await redis.call("SHUTDOWN").catch(() => undefined);
  redis.disconnect();
}
