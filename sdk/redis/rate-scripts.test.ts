import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { clockedRedis } from "../../test/harness/clocked-scripts.ts";
import { waitFor } from "../../test/support/index.ts";
import { coolDown, rateKey, keepSlot, takeSlot } from "./rate-scripts.ts";
import { ScriptRunner } from "./script-runner.ts";

let p: TestPartition;
const key = rateKey("", "api", "w\0n");
/** One start in 500 ms. */
const slow = { limit: 2, per_ms: 1000 };

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

describe("takeSlot", () => {
  it("the first start is now, each later one an interval after the one before, in call order", async () => {
    const waits = await Promise.all([1, 2, 3, 4].map(() => takeSlot(p.scripts, key, slow)));
    expect(waits[0]).toBe(0);
    for (const [i, wait] of waits.entries()) {
      expect(wait).toBeGreaterThan(i * 500 - 200);
      expect(wait).toBeLessThanOrEqual(i * 500);
    }
    expect([...waits].sort((a, b) => a - b)).toEqual(waits);
  });

  it("a limit that is no divisor of its time is rounded to longer intervals", async () => {
    const odd = { limit: 3, per_ms: 10_000 };
    for (let i = 0; i < 3; i++) await takeSlot(p.scripts, key, odd);
    const [seconds, micros] = await p.scripts.redis.time();
    const now = Number(seconds) * 1e6 + Number(micros);
    const free = Number(await p.redis.get(key));
    expect(free - now).toBeLessThanOrEqual(3 * 3_333_334);
    expect(free - now).toBeGreaterThan(3 * 3_333_334 - 1e6);
  });

  it("two limits of one key share the starts, each with its own interval after it", async () => {
    expect(await takeSlot(p.scripts, key, { limit: 1, per_ms: 5000 })).toBe(0);
    expect(await takeSlot(p.scripts, key, slow)).toBeGreaterThan(4500);
    expect(await takeSlot(p.scripts, key, slow)).toBeGreaterThan(5000);
  });

  it("another key is another limit", async () => {
    await takeSlot(p.scripts, key, slow);
    expect(await takeSlot(p.scripts, rateKey("", "other", "w\0n"), slow)).toBe(0);
  });

  it("a key that is free expires by itself", async () => {
    await takeSlot(p.scripts, key, { limit: 10, per_ms: 1000 });
    expect(await p.redis.pttl(key)).toBeLessThanOrEqual(101);
    await waitFor(async () => (await p.redis.exists(key)) === 0, { describe: "the key stays" });
  });
});

describe("a server's clock that was an hour ahead", () => {
  const HOUR_MS = 3_600_000;

  it("holds back nothing that comes when it is set back, reserved or not", async () => {
    const redis = clockedRedis(p, () => undefined);
    const scripts = new ScriptRunner({ redis, deployment: "test", partition: 0 });
    await p.freeze();
    await p.advance(HOUR_MS);
    await takeSlot(scripts, key, slow);
    await coolDown(scripts, key, 60_000);
    await p.advance(-HOUR_MS);
    expect(await keepSlot(scripts, key, slow)).toBe(0);
    expect(await takeSlot(scripts, key, slow)).toBe(500);
    expect(await keepSlot(scripts, key, slow)).toBe(0);
    await p.advance(-500); // as clocks do that are slewed
    expect(await takeSlot(scripts, key, slow)).toBe(1500);
  });
});

describe("coolDown", () => {
  it("pushes all starts that are not reserved yet, and reserves none", async () => {
    expect(await coolDown(p.scripts, key, 3000)).toBe(3000);
    expect(await takeSlot(p.scripts, key, slow)).toBeGreaterThan(2500);
    expect(await takeSlot(p.scripts, key, slow)).toBeGreaterThan(3000);
    expect(await p.redis.pttl(key)).toBeLessThanOrEqual(4002);
  });

  it("never pulls a start nearer", async () => {
    await takeSlot(p.scripts, key, { limit: 1, per_ms: 9000 });
    expect(await coolDown(p.scripts, key, 10)).toBeGreaterThan(8000);
    expect(await takeSlot(p.scripts, key, slow)).toBeGreaterThan(8000);
  });
});

describe("keepSlot", () => {
  it("costs nothing and reserves nothing while its key is not cooling", async () => {
    await takeSlot(p.scripts, key, slow);
    const before = await p.redis.get(key);
    expect(await keepSlot(p.scripts, key, slow)).toBe(0);
    expect(await p.redis.get(key)).toBe(before);
  });

  it("while it is cooling, whoever has a start gets another one after that, in order", async () => {
    await coolDown(p.scripts, key, 3000);
    const first = await keepSlot(p.scripts, key, slow);
    expect(first).toBeGreaterThan(2500);
    expect(await keepSlot(p.scripts, key, slow)).toBeGreaterThan(first + 400);
  });

  it("a shorter push does not end a longer one", async () => {
    await coolDown(p.scripts, key, 3000);
    await coolDown(p.scripts, key, 1);
    expect(await p.redis.pttl(`${key}:cool`)).toBeGreaterThan(2500);
  });
});

describe("rateKey", () => {
  it("equal key texts are one limit whoever owns them; without a text the owner is the key", () => {
    expect(rateKey("", "api", "a\0x")).toBe(rateKey("", "api", "b\0y"));
    expect(rateKey("", "", "a\0x")).not.toBe(rateKey("", "", "b\0y"));
    expect(rateKey("ns:1:", "api", "a\0x")).not.toBe(rateKey("", "api", "a\0x"));
  });
});
