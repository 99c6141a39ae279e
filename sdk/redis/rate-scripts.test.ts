import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { clockedRedis } from "../../test/harness/clocked-scripts.ts";
import { waitFor } from "../../test/support/index.ts";
import { beginSlot, coolDown, distanceOf, rateKey, takeSlot } from "./rate-scripts.ts";
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

/** The scripts under a clock that stands where it is put. */
async function clocked(): Promise<{ scripts: ScriptRunner; at: (ms: number) => Promise<void> }> {
  const redis = clockedRedis(p, () => undefined);
  await p.freeze();
  let nowMs = 0;
  return {
    scripts: new ScriptRunner({ redis, deployment: "test", partition: 0 }),
    at: async (ms) => {
      await p.advance(ms - nowMs);
      nowMs = ms;
    },
  };
}

describe("a server's clock that was an hour ahead", () => {
  const HOUR_MS = 3_600_000;

  it("holds back nothing that comes when it is set back, reserved or not", async () => {
    const redis = clockedRedis(p, () => undefined);
    const scripts = new ScriptRunner({ redis, deployment: "test", partition: 0 });
    await p.freeze();
    await p.advance(HOUR_MS);
    await takeSlot(scripts, key, slow);
    expect(await beginSlot(scripts, key, slow, 0)).toBe(0);
    await coolDown(scripts, key, 60_000);
    await p.advance(-HOUR_MS);
    expect(await beginSlot(scripts, key, slow, 0)).toBe(0);
    expect(await takeSlot(scripts, key, slow)).toBe(500);
    expect(await beginSlot(scripts, key, slow, 500)).toBe(-500);
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

describe("beginSlot", () => {
  it("reserves nothing while its key is not cooling", async () => {
    await takeSlot(p.scripts, key, slow);
    const before = await p.redis.get(key);
    expect(await beginSlot(p.scripts, key, slow, 0)).toBe(0);
    expect(await p.redis.get(key)).toBe(before);
  });

  it("one that begins late keeps its distance from the next, which is on time", async () => {
    const { scripts, at } = await clocked();
    expect(await takeSlot(scripts, key, slow)).toBe(0);
    expect(await takeSlot(scripts, key, slow)).toBe(500);
    await at(300);
    expect(await beginSlot(scripts, key, slow, 0)).toBe(0);
    await at(500);
    expect(await beginSlot(scripts, key, slow, 299)).toBe(300);
    expect(await beginSlot(scripts, key, slow, 300)).toBe(-300);
    expect(await takeSlot(scripts, key, slow)).toBe(500);
    await at(800);
    expect(await beginSlot(scripts, key, slow, 0)).toBe(0);
  });

  it("of many that come late at one time each gets a start of its own", async () => {
    const { scripts, at } = await clocked();
    await at(60_000);
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) waits.push(await beginSlot(scripts, key, slow, 0));
    expect(waits).toEqual([0, 500, 1000, 1500]);
    for (const ms of [60_500, 61_000, 61_500]) {
      await at(ms);
      expect(await beginSlot(scripts, key, slow, 0)).toBe(0);
      expect(await beginSlot(scripts, key, slow, 500)).toBe(-500);
    }
  });

  it("of hundreds in a second no second has more than the limit, however they come", async () => {
    const { scripts, at } = await clocked();
    const many = { limit: 200, per_ms: 1000 };
    expect(distanceOf(many)).toEqual({ intervalUs: 5051, slackUs: 2 * 5051 });
    const begun: number[] = [];
    for (let ms = 0; ms < 2200; ms += ms < 1000 ? 1 : 7) {
      await at(ms);
      while ((await beginSlot(scripts, key, many, 1_000_000)) === 0) begun.push(ms);
    }
    const most = begun.map((from) => begun.filter((ms) => ms >= from && ms < from + 1000).length);
    expect(Math.max(...most)).toBeLessThanOrEqual(200);
    expect(Math.max(...most)).toBeGreaterThan(190);
  });

  it("while it is cooling, whoever has a start gets another one after that, in order", async () => {
    await coolDown(p.scripts, key, 3000);
    const first = await beginSlot(p.scripts, key, slow, 0);
    expect(first).toBeGreaterThan(2500);
    expect(await beginSlot(p.scripts, key, slow, 0)).toBeGreaterThan(first + 400);
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
