/**
 * The Redis of a machine that has no server installed but runs Docker.
 *
 * The client stays in the foreground under the same watchdog as a server of our own: it passes the
 * signal on, so the container ends with us, and `--rm` removes it.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { connectRedis } from "../../sdk/internal.ts";
import { spawnWatched, within, type Watched } from "./child.ts";
import type { RedisChild } from "./redis-child.ts";

const run = promisify(execFile);
const IMAGE = "redis:7-alpine";
const PULL_LIMIT_MS = 180_000;
const STOP_LIMIT_MS = 20_000;
const ASK_LIMIT_MS = 4000;

/** Whether a Docker engine answers. */
export async function dockerRedis(): Promise<boolean> {
  const asked = run("docker", ["version", "--format", "{{.Server.Version}}"], {
    timeout: ASK_LIMIT_MS,
  });
  return asked.then(({ stdout }) => stdout.trim() !== "").catch(() => false);
}

/** Starts the container on `port` of 127.0.0.1 with its data in `dataDir`. */
export async function startDockerRedis(
  dataDir: string,
  port: number,
  settings: readonly string[],
): Promise<RedisChild> {
  const name = `gavotte-${createHash("sha256").update(dataDir).digest("hex").slice(0, 12)}`;
  // One left by an earlier start would hold the name and the data.
  await run("docker", ["stop", name]).catch(() => undefined);
  const user = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  const container = ["run", "--rm", "--name", name, "--user", user, "-v", `${dataDir}:/data`];
  const image = ["-p", `127.0.0.1:${port}:6379`, IMAGE, "redis-server", ...settings];
  const child = spawnWatched("docker", [...container, ...image]);
  const url = `redis://127.0.0.1:${port}`;
  const over = child.ended.then((reason) => {
    throw new Error(`docker could not run ${IMAGE} (${reason}): ${child.output()}`);
  });
  over.catch(() => undefined);
  const redis = connectRedis({ url }, "embedded:start");
  try {
    await within(Promise.race([redis.ping(), over]), PULL_LIMIT_MS, "Redis in Docker is silent");
  } finally {
    redis.disconnect();
  }
  return { url, ended: child.ended, stop: () => stop(child, name) };
}

async function stop(child: Watched, name: string): Promise<void> {
  await run("docker", ["stop", name]).catch(() => undefined);
  child.process.stdin?.end();
  await within(child.ended, STOP_LIMIT_MS, "Redis in Docker does not stop");
}
