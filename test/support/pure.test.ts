/** Files that share a process leave nothing in it for the next one. */
import { globSync } from "tinyglobby";
import { describe, expect, it } from "vitest";
import { QUICK } from "../cluster/contract.ts";
import { pureFiles } from "./pure.ts";
import { CHANGES, servedFiles, textOf } from "./served.ts";

/** Beside what no two files of a process may do: they ask for no services. */
const FORBIDDEN = [
  ...CHANGES,
  /\b(testRedis|testDatabase|startEngine|openTestPartition|spawn)\(|\bvi\.waitFor\b/,
];

describe("test files that share processes", () => {
  it("start nothing, and change nothing that others have", () => {
    const files = pureFiles();
    expect(files.length).toBeGreaterThan(100);
    const forbidden = files.flatMap((file) => {
      const text = textOf(file);
      return FORBIDDEN.flatMap((one) => one.exec(text)?.[0] ?? []).map((it) => `${file}: ${it}`);
    });
    expect(forbidden).toEqual([]);
  });

  it("are those that ask for services, too, unless they change what others have", () => {
    const served = new Set(servedFiles());
    expect(served.size).toBeGreaterThan(80);
    expect(pureFiles().filter((file) => served.has(file))).toEqual([]);
    const alone = ["sdk/redis/tls.test.ts", "worker/redelivery.test.ts", "test/limits.test.ts"];
    expect(alone.filter((file) => served.has(file))).toEqual([]);
    expect(served).toContain("sdk/redis/run-scripts.test.ts");
    // Those share processes on the cluster as well.
    expect(globSync([...QUICK]).filter((file) => !served.has(file))).toEqual([]);
  });
});
