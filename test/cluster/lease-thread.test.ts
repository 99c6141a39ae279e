/** B4 on a cluster: the lease thread knows partitions that came after the worker's start, too. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import calculateSlot from "cluster-key-slot";
import { afterAll, beforeAll, expect, it } from "vitest";
import { partitionKeys } from "../../sdk/keys.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { BlockedWorkers } from "../recovery/blocked.ts";
import { startCluster, type TestCluster } from "../support/redis-cluster.ts";

const dir = mkdtempSync(join(tmpdir(), "gv-lease-thread-"));
let cluster: TestCluster;
let engine: Engine;
let workers: BlockedWorkers;

beforeAll(async () => {
  cluster = await startCluster({ dir });
  engine = await startEngine({ redisUrl: cluster.url });
  workers = new BlockedWorkers(engine);
});
afterAll(async () => {
  await workers.close();
  await engine.stop();
  await cluster.stop();
  rmSync(dir, { recursive: true, force: true });
});

it("a handler that blocks its process keeps its work in a partition that was away at the start", async () => {
  const primary = await cluster.ownerOf(calculateSlot(partitionKeys(0).meta));
  primary.freeze();
  try {
    await Promise.all([workers.start(60_000), workers.start(60_000)]);
  } finally {
    primary.thaw();
  }
  expect(await workers.run()).toEqual({ executions: 1, status: "COMPLETED" });
}, 90_000);
