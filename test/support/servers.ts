/**
 * The servers that tests run on: those of GAVOTTE_REDIS_URL and GAVOTTE_DATABASE_URL if set, else
 * containers when a Docker engine answers and has (or can pull) the images, else a local
 * redis-server and PGlite. Whatever was started here ends with the tests.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Servers {
  redisUrl: string;
  /** Null: every test file starts a PGlite of its own (a session each, about a second). */
  databaseUrl: string | null;
  stop(): Promise<void>;
}

const REDIS_IMAGE = "redis:7-alpine";
const POSTGRES_IMAGE = "pgvector/pgvector:pg16";
const DOCKER_SOCKET = "/var/run/docker.sock";
const PROBE_MS = 5000;

/** Finds or starts what the tests need. */
export async function startServers(env: NodeJS.ProcessEnv): Promise<Servers> {
  const redisUrl = env["GAVOTTE_REDIS_URL"];
  const databaseUrl = env["GAVOTTE_DATABASE_URL"] ?? null;
  if (redisUrl !== undefined) {
    return { redisUrl, databaseUrl, stop: () => Promise.resolve() };
  }
  const containers = await startContainers(databaseUrl === null);
  if (containers !== null) {
    return { ...containers, databaseUrl: databaseUrl ?? containers.databaseUrl };
  }
  const local = await startLocalRedis();
  return { redisUrl: local.url, databaseUrl, stop: local.stop };
}

/** Containers, or null if no engine answers or an image cannot be had. */
async function startContainers(withPostgres: boolean): Promise<Servers | null> {
  if (!existsSync(DOCKER_SOCKET) && process.env["DOCKER_HOST"] === undefined) {
    return null;
  }
  const started: { stop(): Promise<unknown> }[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((container) => container.stop()));
  };
  try {
    const { GenericContainer, getContainerRuntimeClient } = await import("testcontainers");
    await within(PROBE_MS, getContainerRuntimeClient());
    const redis = await new GenericContainer(REDIS_IMAGE).withExposedPorts(6379).start();
    started.push(redis);
    const redisUrl = `redis://${redis.getHost()}:${redis.getMappedPort(6379)}`;
    if (!withPostgres) {
      return { redisUrl, databaseUrl: null, stop };
    }
    const postgres = await new GenericContainer(POSTGRES_IMAGE)
      .withEnvironment({ POSTGRES_PASSWORD: "test" })
      .withExposedPorts(5432)
      .start()
      .catch(() => null); // without the image: PGlite
    if (postgres === null) {
      return { redisUrl, databaseUrl: null, stop };
    }
    started.push(postgres);
    const place = `${postgres.getHost()}:${postgres.getMappedPort(5432)}`;
    return { redisUrl, databaseUrl: `postgres://postgres:test@${place}/postgres`, stop };
  } catch {
    await stop().catch(() => undefined);
    return null;
  }
}

/** A redis-server (or valkey-server) on a private socket. */
export async function startLocalRedis(): Promise<{ url: string; stop(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), "gv-test-"));
  const socket = join(dir, "redis.sock");
  const options = ["--port", "0", "--unixsocket", socket, "--dir", dir, "--save", ""];
  const child = await spawnServer([...options, "--databases", "256"]);
  return {
    url: `unix://${socket}`,
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function spawnServer(options: string[]): Promise<ChildProcess> {
  for (const binary of ["redis-server", "valkey-server"]) {
    const child = spawn(binary, options, { stdio: ["ignore", "pipe", "inherit"] });
    const isReady = await new Promise<boolean>((resolve) => {
      child.once("error", () => resolve(false));
      child.once("exit", () => resolve(false));
      child.stdout?.on("data", (text: Buffer) => {
        if (/ready to accept connections/i.test(text.toString())) {
          resolve(true);
        }
      });
    });
    if (isReady) {
      return child;
    }
  }
  throw new Error(
    "no redis-server and no valkey-server: run scripts/setup.sh, or set GAVOTTE_REDIS_URL",
  );
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}
