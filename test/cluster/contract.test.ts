/** No file that asks for a Redis is forgotten by the contract. */
import { readFileSync } from "node:fs";
import { globSync } from "tinyglobby";
import { describe, expect, it } from "vitest";
import { CONTRACT, LEFT_OUT, QUICK } from "./contract.ts";

const ignore = ["**/node_modules/**", "dist/**"];
const found = (patterns: readonly string[]): string[] => globSync([...patterns], { ignore });
const all = found(["**/*.test.ts"]);
const contract = found(CONTRACT);
/** What gives a test its Redis: test/support, and what harness and fixtures make of it. */
const ASKS = /\b(testRedis|startEngine|openTestPartition|startStack|startContext|startPartition)\(/;

describe("the contract of a cluster", () => {
  it("has every file that asks for a Redis, or a reason why not", () => {
    const asking = all.filter((file) => ASKS.test(readFileSync(file, "utf8")));
    expect(asking.length).toBeGreaterThan(40);
    const forgotten = asking.filter((file) => !contract.includes(file) && !(file in LEFT_OUT));
    expect(forgotten).toEqual([]);
  });

  it("has nothing twice, and names no file that is gone", () => {
    for (const file of Object.keys(LEFT_OUT)) {
      expect(all).toContain(file);
      expect(contract).not.toContain(file);
    }
    for (const pattern of [...CONTRACT, ...QUICK]) {
      expect(found([pattern]), pattern).not.toEqual([]);
    }
    expect(found(QUICK).filter((file) => !contract.includes(file))).toEqual([]);
  });
});
