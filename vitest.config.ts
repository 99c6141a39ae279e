/**
 * Tests lie beside what they test. Services are started by the first file that asks for one
 * (test/support/global-setup.ts), so a run of pure tests needs neither Redis nor Postgres.
 *
 * Some files run a second time, on a Redis Cluster (test/cluster/contract.ts). With
 * GAVOTTE_TEST_REDIS=cluster all of that contract does, and nothing else.
 *
 * Files that need nothing but modules share processes (test/support/pure.ts) as the project `pure`,
 * and those that need services and nothing else as `served` (test/support/served.ts). Whoever names a
 * project finds them in `single` as well, each in a process of its own.
 */
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { CONTRACT, isOnCluster, QUICK } from "./test/cluster/contract.ts";
import { pureFiles } from "./test/support/pure.ts";
import { LongestFirst } from "./test/support/sequencer.ts";
import { servedFiles } from "./test/support/served.ts";

const common = {
  exclude: ["**/node_modules/**", "dist/**", "web/**", "bench/peers/**"],
  pool: "forks" as const,
  testTimeout: 30_000,
  hookTimeout: 120_000,
  teardownTimeout: 20_000,
};
const isNamed = process.argv.some((arg) => /^--project(=|$)/.test(arg));
const pure = isNamed ? [] : pureFiles(import.meta.dirname);
const served = isNamed ? [] : servedFiles(import.meta.dirname);
const sharing = (name: string, include: string[]) => ({
  test: { ...common, name, include, isolate: false },
});
const single = {
  test: {
    ...{ ...common, name: "single", include: ["**/*.test.ts"] },
    exclude: [...common.exclude, ...served, ...pure],
  },
};
const onCluster = (include: readonly string[], isolate: boolean) => ({
  test: {
    ...{ ...common, name: "cluster", include: [...include], isolate },
    env: { GAVOTTE_TEST_REDIS: "cluster" },
  },
});

export default defineConfig({
  test: {
    globalSetup: ["test/support/global-setup.ts"],
    // One more than cores: a third of a file's time it waits, for a lease, a timer, a server's start.
    maxWorkers: availableParallelism() + 1,
    teardownTimeout: common.teardownTimeout,
    sequence: { sequencer: LongestFirst },
    projects: isOnCluster
      ? [onCluster(CONTRACT, true)]
      : [
          single,
          // Of the files in `served`, too (test/support/pure.test.ts).
          onCluster(QUICK, isNamed),
          ...(isNamed ? [] : [sharing("served", served), sharing("pure", pure)]),
        ],
  },
});
