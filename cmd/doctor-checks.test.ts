import { expect, it } from "vitest";
import { serverChecks } from "./doctor-checks.ts";

const memoryOf = (facts: object): unknown =>
  serverChecks({ redis_version: "7.0.15", aof_enabled: "1", ...facts }).find(
    ({ name }) => name === "memory",
  );

it("a Redis without maxmemory is a warning: nothing slows down before the machine is full", () => {
  const limited = { maxmemory_policy: "noeviction", maxmemory_human: "1.00G", used_memory: "9" };
  expect(memoryOf({ ...limited, maxmemory: "1073741824" })).toEqual({
    ...{ name: "memory", state: "ok", text: "noeviction, 1.00G" },
  });
  expect(memoryOf({ ...limited, maxmemory: "0" })).toMatchObject({
    state: "warning",
    text: expect.stringMatching(/^noeviction, no limit: .*set maxmemory/) as unknown,
  });
  expect(memoryOf({ maxmemory: "0", maxmemory_policy: "allkeys-lru" })).toMatchObject({
    state: "bad",
  });
});
