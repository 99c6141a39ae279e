import { execFileSync, fork, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { once } from "node:events";
import { connect } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { connectPostgres, type Database } from "../../sdk/postgres/connect.ts";
import { connectRedis } from "../../sdk/redis/connect.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { readStackFile, startEmbedded, type EmbeddedStack } from "./index.ts";
import { pgliteSocket } from "./pglite-address.ts";
import { isListening } from "./sockets.ts";

const root = mkdtempSync(join(tmpdir(), "gv-embedded-"));
const dir = join(root, "data");
const messages: string[] = [];
const undo: (() => unknown)[] = [];

const start = async (where = dir): Promise<EmbeddedStack> => {
  const stack = await startEmbedded({ dir: where, log: (message) => messages.push(message) });
  undo.push(() => stack.stop({ now: true }));
  return stack;
};

/** Counts up in both stores, and returns what they say. */
async function count(stack: EmbeddedStack): Promise<[number, number]> {
  const redis = connectRedis({ url: stack.redisUrl }, "test");
  const db = connectPostgres({ url: stack.databaseUrl, singleSession: true });
  try {
    const turns = await redis.incr("turns");
    return [turns, await countRows(db)];
  } finally {
    redis.disconnect();
    await db.close();
  }
}

async function countRows(db: Database): Promise<number> {
  const rows = await db.transaction(async (tx) => {
    await tx.query({ name: "t", text: "CREATE TABLE IF NOT EXISTS turns (n int)" });
    await tx.query({ name: "i", text: "INSERT INTO turns VALUES (1)" });
    return tx.query<{ n: number }>({ name: "c", text: "SELECT count(*) AS n FROM turns" });
  });
  return rows[0]?.n ?? 0;
}

/** Another process that starts or joins the stack, and says so. */
async function otherProcess(): Promise<{ child: ChildProcess; owner: boolean; redisUrl: string }> {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const path = fileURLToPath(new URL("../../test/support/embedded-process.ts", import.meta.url));
  const child = fork(path, [dir], { execArgv: ["--import", tsx], stdio: "inherit" });
  undo.push(() => child.kill("SIGKILL"));
  const hello = await new Promise<{ owner: boolean; redisUrl: string }>((said, reject) => {
    child.once("message", (message) => said(message as { owner: boolean; redisUrl: string }));
    child.once("exit", (code) => reject(new Error(`exit ${code}`)));
  });
  return { child, ...hello };
}

/** Processes whose command line contains all of `parts`. */
function processesWith(...parts: string[]): number[] {
  const lines = execFileSync("ps", ["-A", "-ww", "-o", "pid=,args="], { encoding: "utf8" });
  const found = lines.split("\n").filter((line) => parts.every((part) => line.includes(part)));
  return found.map((line) => Number.parseInt(line, 10));
}

const socketOf = (redisUrl: string): string => decodeURI(new URL(redisUrl).pathname);

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) {
    await step();
  }
  messages.length = 0;
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("the embedded stack", () => {
  it("keeps what was written from one start to the next", async () => {
    const first = await start();
    expect(first.owner).toBe(true);
    expect(await count(first)).toEqual([1, 1]);
    await first.stop();
    expect(await isListening(socketOf(first.redisUrl))).toBe(false);
    expect(await readStackFile(dir)).toBeUndefined();
    expect(await count(await start())).toEqual([2, 2]);
  });

  it("has one owner when several start at once, and the others use the same data", async () => {
    const stacks = await Promise.all([start(), start(), start()]);
    expect(stacks.filter((stack) => stack.owner)).toHaveLength(1);
    const [before] = await count(stacks[0]!);
    expect((await count(stacks[1]!))[0]).toBe(before + 1);
    expect((await count(stacks[2]!))[0]).toBe(before + 2);
  });

  it("answers programs that were only told its address, many questions at once", async () => {
    const stack = await start();
    const dbs = [1, 2].map(() => connectPostgres({ url: stack.databaseUrl }));
    undo.push(() => Promise.all(dbs.map((db) => db.close())));
    const ask = (n: number): Promise<{ n: number }[]> =>
      (dbs[n % 2] as Database).query({ name: "same", text: "SELECT $1::int AS n" }, [n]);
    const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => ask(n)));
    expect(answers.map(([row]) => row?.n)).toEqual(Array.from({ length: 40 }, (_, n) => n));
  });

  it("does not fall over a connection that names no user", async () => {
    const stack = await start();
    const folder = new URLSearchParams(stack.databaseUrl.split("?")[1]).get("host") ?? "";
    const socket = connect(pgliteSocket(folder));
    undo.push(() => socket.destroy());
    // Length, protocol 3.0, and the end of a list of parameters that is empty.
    socket.write(Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0]));
    const [first] = (await once(socket, "data")) as [Buffer];
    expect(String.fromCharCode(first[0] ?? 0)).toBe("R");
    expect((await count(stack))[1]).toBeGreaterThan(0);
    expect(messages.join()).not.toContain("unexpectedly");
  });

  it("lets nobody in before it is prepared, and gives up when that fails", async () => {
    const prepare = (): Promise<void> => Promise.reject(new Error("no schema"));
    const failing = startEmbedded({ dir, log: () => undefined, prepare });
    const waiting = start();
    await expect(failing).rejects.toThrow("no schema");
    expect((await waiting).owner).toBe(true);
  });

  it("stops after those attached to it, and says so", async () => {
    const owner = await start();
    const other = await start();
    expect(other.owner).toBe(false);
    owner.announceGateway("http://127.0.0.1:1");
    expect((await readStackFile(dir))?.gateway).toBe("http://127.0.0.1:1");
    const stopped = owner.stop();
    await waitFor(() => messages.some((message) => message.includes("uses this stack")));
    expect((await count(other))[0]).toBeGreaterThan(0);
    await other.stop();
    await stopped;
  });

  it("stops at once on a second request, and the attached are told", async () => {
    const owner = await start();
    const other = await start();
    const stopped = owner.stop();
    await owner.stop({ now: true });
    await Promise.all([stopped, other.lost]);
  });

  it("lets nobody in while it stops: who comes then starts it anew, with the data", async () => {
    const first = await start();
    const [before] = await count(first);
    const stopped = first.stop();
    const second = await start();
    await stopped;
    expect(second.owner).toBe(true);
    expect((await count(second))[0]).toBe(before + 1);
  });

  it("survives an owner killed outright: its servers end, the next start has the data", async () => {
    const { child, owner, redisUrl } = await otherProcess();
    expect(owner).toBe(true);
    const attached = await start();
    expect(attached.owner).toBe(false);
    const [before] = await count(attached);
    child.kill("SIGKILL");
    await attached.lost;
    const next = await start();
    expect(next.owner).toBe(true);
    expect((await count(next))[0]).toBe(before + 1);
    await next.stop();
    await waitFor(async () => !(await isListening(socketOf(redisUrl))));
  });

  it("leaves no server behind when its owner is killed outright", async () => {
    const { child, redisUrl } = await otherProcess();
    expect(await isListening(socketOf(redisUrl))).toBe(true);
    child.kill("SIGKILL");
    const gone = async (): Promise<boolean> => !(await isListening(socketOf(redisUrl)));
    await waitFor(gone, { timeoutMs: 5000, describe: "redis-server outlives its owner" });
  });

  it("starts Redis again when it dies, with the data", async () => {
    const stack = await start();
    const redis = connectRedis({ url: stack.redisUrl }, "test");
    const before = await redis.incr("turns");
    const info = await redis.info("server");
    await redis.call("CONFIG", "SET", "appendfsync", "always");
    const pid = Number(/process_id:(\d+)/.exec(info)?.[1]);
    process.kill(pid, "SIGKILL");
    await waitFor(() => messages.some((message) => message.startsWith("Redis ended")));
    expect(await redis.incr("turns")).toBe(before + 1);
    redis.disconnect();
  });

  it("starts Postgres again when it dies, with the data", async () => {
    const stack = await start();
    const [, before] = await count(stack);
    for (const pid of processesWith("pglite-host", join(dir, "pg"))) {
      process.kill(pid, "SIGKILL");
    }
    await waitFor(() => messages.some((message) => message.startsWith("Postgres ended")));
    await waitFor(() => isListening(pgliteSocket(join(dir, "sockets"))), { timeoutMs: 20_000 });
    expect((await count(stack))[1]).toBe(before + 1);
  });

  it("puts its sockets elsewhere when the folder's path is too long for them", async () => {
    const long = join(root, "x".repeat(120));
    const stack = await start(long);
    expect(socketOf(stack.redisUrl).startsWith(long)).toBe(false);
    expect(await count(stack)).toEqual([1, 1]);
    await stack.stop();
    rmSync(dirname(socketOf(stack.redisUrl)), { recursive: true });
  });
});
