/**
 * Tests lie beside what they test. Services are started by the first file that asks for one
 * (test/support/global-setup.ts), so a run of pure tests needs neither Redis nor Postgres.
 *
 * Some files run a second time, on a Redis Cluster (test/cluster/contract.ts). With
 * GAVOTTE_TEST_REDIS=cluster all of that contract does, and nothing else.
 */
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { CONTRACT, isOnCluster, QUICK } from "./test/cluster/contract.ts";

const common = {
  exclude: ["**/node_modules/**", "dist/**", "web/**", "bench/peers/**"],
  pool: "forks" as const,
  testTimeout: 30_000,
  hookTimeout: 120_000,
  teardownTimeout: 20_000,
};
const single = { test: { ...common, name: "single", include: ["**/*.test.ts"] } };
const onCluster = (include: readonly string[]) => ({
  test: {
    ...common,
    ...{ name: "cluster", include: [...include], env: { GAVOTTE_TEST_REDIS: "cluster" } },
  },
});

export default defineConfig({
  test: {
    globalSetup: ["test/support/global-setup.ts"],
    // One more than cores: a third of a file's time it waits, for a lease, a timer, a server's start.
    maxWorkers: availableParallelism() + 1,
    teardownTimeout: common.teardownTimeout,
    projects: isOnCluster ? [onCluster(CONTRACT)] : [single, onCluster(QUICK)],
  },
});
