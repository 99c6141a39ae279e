/** B4: a handler that blocks its process for longer than a lease keeps its work. */
import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { RoleOptions } from "../e2e/role.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

const LEASE_MS = 600;
const BLOCK_MS = 4 * LEASE_MS;
const ROLE = new URL("../e2e/role.ts", import.meta.url);

let engine: Engine;
let dir: string;
let serial = 0;
const workers: ChildProcess[] = [];

beforeAll(async () => {
  engine = await startEngine();
  dir = mkdtempSync(join(tmpdir(), "gv-blocked-"));
});
afterEach(async () => {
  await Promise.all(
    workers.splice(0).map((child) => {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      return gone;
    }),
  );
});
afterAll(async () => {
  await engine.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function startWorker(blockedMsMax: number): Promise<void> {
  serial += 1;
  const options: RoleOptions = {
    ...{ redisUrl: engine.redisUrl, databaseUrl: "", singleSession: false },
    ...{ leaseMs: LEASE_MS, blockedMsMax, id: `blocked-${serial}` },
  };
  const child = fork(ROLE, ["worker", JSON.stringify(options)], {
    execArgv: ["--import", "tsx"],
  });
  workers.push(child);
  await new Promise((resolve) => child.once("message", resolve));
  if (blockedMsMax > 0) {
    // With so short a lease the thread must be up before the first entry is taken.
    await waitFor(async () => {
      const clients = (await engine.redis.client("LIST")) as string;
      return clients.includes(`name=gavotte:worker:${options.id}:leases`);
    });
  }
}

/** Runs one node that blocks; how often it was executed, and how its run ended. */
async function blocked(more: object = {}): Promise<{ executions: number; status: string }> {
  const file = join(dir, `calls-${serial}`);
  const node = {
    ...{ id: "heavy", type: "function" },
    config: { function_name: "block", params: { file, ms: BLOCK_MS } },
    ...more,
  };
  const workflow = { name: "heavy", nodes: [node], edges: [] };
  const { status } = await engine.ended(await engine.submit({ workflow, input: {} }));
  const lines = readFileSync(file, "utf8").trim().split("\n");
  return { executions: lines.length, status };
}

describe("a handler that blocks the event loop for four leases", () => {
  it("B4: is executed once, although another worker looks for what is left behind", async () => {
    await Promise.all([startWorker(60_000), startWorker(60_000)]);
    expect(await blocked()).toEqual({ executions: 1, status: "COMPLETED" });
  });

  it("is executed again where no thread renews its lease", async () => {
    await Promise.all([startWorker(0), startWorker(0)]);
    expect((await blocked()).executions).toBeGreaterThan(1);
  });

  it("is given up when its process has stood still for too long", async () => {
    await Promise.all([startWorker(LEASE_MS), startWorker(LEASE_MS)]);
    expect((await blocked()).executions).toBeGreaterThan(1);
  });

  it("is not kept alive beyond its node's time limit", async () => {
    await Promise.all([startWorker(60_000), startWorker(60_000)]);
    expect((await blocked({ timeout_ms: 1 })).executions).toBeGreaterThan(1);
  });
});
