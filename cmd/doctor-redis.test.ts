import { describe, expect, it } from "vitest";
import { SLOTS } from "../sdk/internal.ts";
import type { Check } from "./doctor-checks.ts";
import { clusterChecks, serverChecks } from "./doctor-redis.ts";

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

describe("a server that takes no writes, or copies nothing", () => {
  const sound = { redis_version: "7.0.15", aof_enabled: "1", maxmemory_policy: "noeviction" };
  const of = (name: string, facts: object): Check | undefined =>
    serverChecks({ ...sound, maxmemory: "9", used_memory: "1", ...facts }).find(
      (check) => check.name === name,
    );

  it("is bad while its log cannot be written, as it refuses every write", () => {
    const found = of("persistence", { aof_last_write_status: "err" });
    expect(found?.state).toBe("bad");
    expect(found?.text).toMatch(/refuses .*writes.*disk/);
    expect(of("persistence", { aof_last_write_status: "ok" })?.state).toBe("ok");
  });

  it("is told of when its last snapshot failed: it may refuse writes for that", () => {
    const found = of("persistence", { rdb_last_bgsave_status: "err" });
    expect(found?.state).toBe("bad");
    expect(found?.text).toMatch(/snapshot/);
  });

  it("is a replica: of one server alone it is bad, as nothing can be written to it", () => {
    const replica = { role: "slave", master_host: "10.0.0.7", master_port: "6379" };
    const found = of("redis", { ...replica, master_link_status: "up" });
    expect(found?.state).toBe("bad");
    expect(found?.text).toMatch(/replica of 10\.0\.0\.7:6379.*redis_url/);
    expect(of("redis", { role: "master" })?.state).toBe("ok");
  });
});

describe("a cluster", () => {
  const INFO = ["redis_version:7.0.15", "aof_enabled:1", "maxmemory_policy:noeviction"];
  const nodes = [
    { address: { host: "a", port: 1 }, ranges: [[0, SLOTS - 1]], isFailed: false },
    { address: { host: "b", port: 2 }, ranges: [], isFailed: false },
    { address: { host: "c", port: 3 }, ranges: [], isFailed: true },
  ];
  const infos = new Map([
    ["a", [...INFO, "role:master", "maxmemory:0"]],
    ["b", [...INFO, "role:slave", "master_link_status:down", "maxmemory:9", "used_memory:1"]],
  ]);
  const topology = {
    refresh: () => Promise.resolve(true),
    nodes,
    coverage: () => SLOTS,
    info: ({ host }: { host: string }) => Promise.resolve(infos.get(host)?.join("\r\n") ?? null),
  };

  it("each check of a node says of which, also to who reads only what is bad", async () => {
    const checks = await clusterChecks(topology as never);
    const ill = checks.filter(({ state }) => state !== "ok");
    expect(ill.map(({ name, state, text }) => [name, state, text.split(" ")[0]])).toEqual([
      ["memory", "warning", "a:1:"],
      ["node", "bad", "b:2,"],
      ["node", "bad", "c:3"],
    ]);
  });

  it("a replica that copies nothing is bad, with what is lost if its primary goes", async () => {
    const found = (await clusterChecks(topology as never)).find(({ text }) =>
      text.includes("b:2,"),
    );
    expect(found?.text).toMatch(/^b:2, replica.*copies nothing.*look at/);
  });
});
