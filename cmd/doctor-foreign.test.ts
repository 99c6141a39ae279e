/** `gavotte doctor` where something else stands in place of what it reads: it says of which key, and goes on. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { connectRedis, partitionKeys, type Redis } from "../sdk/internal.ts";
import { testRedis, type TestRedis } from "../test/support/index.ts";
import { lagOf } from "./doctor-archive.ts";
import { checkFindings } from "./doctor-checks.ts";
import { causeOf } from "./doctor-foreign.ts";

const PARTITIONS = 3;
const [first, second, third] = [partitionKeys(0), partitionKeys(1), partitionKeys(2)];
const drift = { kind: "counter", runId: "r", is: "2", expected: "1", remedy: "rebuild" };
const finding = JSON.stringify({ atMs: Date.now(), drifts: [drift] });
let services: TestRedis;
let redis: Redis;

beforeAll(async () => {
  services = await testRedis();
  redis = connectRedis({ url: services.url }, "doctor");
});
afterAll(async () => {
  await redis.del(first.findings);
  await redis.del(second.findings);
  await redis.del(third.findings);
  redis.disconnect();
  await services.close();
});

const texts = async (): Promise<string[]> => {
  const client = { redis, deployment: () => Promise.resolve({ partitions: PARTITIONS }) };
  const found = await checkFindings({ client: () => Promise.resolve(client) } as never);
  expect(found.map(({ state }) => state)).toEqual(found.map(() => "bad"));
  return found.map(({ text }) => text);
};

beforeEach(async () => {
  await redis.hset(third.findings, "r", finding);
});

it("names a key that is another's, and tells the findings of the other partitions", async () => {
  await redis.set(first.findings, "x");
  await redis.hset(second.findings, "r", "no JSON");
  const [foreign, garbled, told, ...others] = await texts();
  expect(others).toEqual([]);
  expect(foreign).toContain(first.findings);
  expect(foreign).toMatch(/remove it/);
  expect(garbled).toContain(second.findings);
  expect(told).toMatch(/ago: .*\br\b/);
});

it("names the key also where a whole check fails for it", async () => {
  await redis.set(first.meta, "x");
  const cursor = { epoch: 1, seq: 1, nonce: "n", streamId: "1-1" };
  const db = { query: () => Promise.resolve([cursor]) };
  const error = await lagOf(redis, db as never, 0).catch((cause: unknown) => cause);
  await redis.del(first.meta);
  expect(causeOf(error)).toContain(`${first.meta}: something stands there`);
  expect(causeOf(new Error("away"))).toBe("away");
});
