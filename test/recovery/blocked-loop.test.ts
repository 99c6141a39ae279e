/** B4: a handler that blocks its process for longer than a lease keeps its work. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";
import { BlockedWorkers, LEASE_MS } from "./blocked.ts";

let engine: Engine;
let workers: BlockedWorkers;

beforeAll(async () => {
  engine = await startEngine();
  workers = new BlockedWorkers(engine);
});
afterEach(() => workers.kill());
afterAll(async () => {
  await workers.close();
  await engine.stop();
});

async function start(blockedMsMax: number): Promise<void> {
  const id = await workers.start(blockedMsMax);
  if (blockedMsMax > 0) {
    // With so short a lease the thread must be up before the first entry is taken.
    await waitFor(async () => {
      const clients = (await engine.redis.client("LIST")) as string;
      return clients.includes(`name=gavotte:worker:${id}:leases`);
    });
  }
}

describe("a handler that blocks the event loop for four leases", () => {
  it("B4: is executed once, although another worker looks for what is left behind", async () => {
    await Promise.all([start(60_000), start(60_000)]);
    expect(await workers.run()).toEqual({ executions: 1, status: "COMPLETED" });
  });

  it("is executed again where no thread renews its lease", async () => {
    await Promise.all([start(0), start(0)]);
    expect((await workers.run()).executions).toBeGreaterThan(1);
  });

  it("is given up when its process has stood still for too long", async () => {
    await Promise.all([start(LEASE_MS), start(LEASE_MS)]);
    expect((await workers.run()).executions).toBeGreaterThan(1);
  });

  it("is not kept alive beyond its node's time limit", async () => {
    await Promise.all([start(60_000), start(60_000)]);
    expect((await workers.run({ timeout_ms: 1 })).executions).toBeGreaterThan(1);
  });
});
