/** Beginnings of one worker under a rate limit, with a clock and a Redis in memory. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { RateTurns } from "./rate-turns.ts";

const LIMIT = { limit: 20, per_ms: 1000 };

/** A worker whose waits take their time by its clock, and nothing else does. */
function worker(): { turns: RateTurns; nowMs: () => number; standStill: (ms: number) => void } {
  let nowMs = 1000;
  const pause = async (ms: number): Promise<void> => {
    await nextTurn(); // whoever may begin before it has begun
    nowMs += ms;
  };
  const turns = new RateTurns({ nowMs: () => nowMs, pause });
  return { turns, nowMs: () => nowMs, standStill: (ms) => void (nowMs += ms) };
}

describe("beginnings of one key", () => {
  it("that Redis lets begin at once are apart in the worker, each as it begins", async () => {
    const { turns, nowMs } = worker();
    const begun: number[] = [];
    const one = async (): Promise<void> => {
      if ((await turns.begin("k", LIMIT, () => Promise.resolve(0))) === 0) begun.push(nowMs());
    };
    await Promise.all([one(), one(), one(), one()]);
    expect(begun).toEqual([1000, 1050, 1100, 1150]);
  });

  it("keep their distance from one that begins after its worker stood still", async () => {
    const { turns, nowMs, standStill } = worker();
    const late = (): Promise<number> => {
      standStill(400); // between Redis' answer and its arrival
      return Promise.resolve(0);
    };
    const first = turns.begin("k", LIMIT, late).then(nowMs);
    const second = turns.begin("k", LIMIT, () => Promise.resolve(0)).then(nowMs);
    expect(await Promise.all([first, second])).toEqual([1400, 1450]);
  });

  it("ask again when Redis says so, and wait elsewhere when they have waited long enough", async () => {
    const { turns, nowMs } = worker();
    const asked: [holdMs: number, atMs: number][] = [];
    const answers = [-200, -300, 700];
    const ask = (holdMs: number): Promise<number> => {
      asked.push([holdMs, nowMs()]);
      return Promise.resolve(answers.shift() ?? 0);
    };
    expect(await turns.begin("k", LIMIT, ask)).toBe(700);
    expect(asked.map(([holdMs, atMs]) => [holdMs, atMs])).toEqual([
      [500, 1000],
      [300, 1200],
      [0, 1500],
    ]);
  });

  it("that are more than may wait here ask with no time to wait, and begin apart if they may", async () => {
    const { turns, nowMs } = worker();
    const asked: number[] = [];
    const begun: number[] = [];
    const one = async (): Promise<void> => {
      const answer = (holdMs: number): Promise<number> => {
        asked.push(holdMs);
        return Promise.resolve(0);
      };
      if ((await turns.begin("k", LIMIT, answer)) === 0) begun.push(nowMs());
    };
    await Promise.all(Array.from({ length: 14 }, one));
    expect(begun).toEqual(Array.from({ length: 14 }, (_, i) => 1000 + i * 50));
    expect(asked).toEqual([500, 450, 400, 350, 300, 250, 200, 150, 100, 50, 0, 0, 0, 0]);
  });

  it("of hundreds in a second begin together where they may, and never more than the limit", async () => {
    const { turns, nowMs } = worker();
    const begun: number[] = [];
    const one = async (): Promise<void> => {
      await turns.begin("k", { limit: 1000, per_ms: 1000 }, () => Promise.resolve(0));
      begun.push(nowMs());
    };
    await Promise.all(Array.from({ length: 1200 }, one));
    const inSecond = begun.map(
      (from) => begun.filter((at) => at >= from && at < from + 1000).length,
    );
    expect(begun.filter((at) => at === 1000).length).toBeGreaterThan(1);
    expect(Math.max(...inSecond)).toBeLessThanOrEqual(1000);
    expect(Math.max(...inSecond)).toBeGreaterThan(950);
  });

  it("keep it while other keys come and go, and are forgotten when nothing is left of them", async () => {
    const { turns, nowMs, standStill } = worker();
    const begin = (key: string): Promise<number> =>
      turns.begin(key, LIMIT, () => Promise.resolve(0)).then(nowMs);
    const others = (name: string): Promise<number[]> =>
      Promise.all(Array.from({ length: 1_000 }, (_, i) => begin(`${name}${i}`)));
    const first = begin("k");
    await others("a");
    await begin("x"); // makes room among those that are free
    expect(await Promise.all([first, begin("k")])).toEqual([1000, 1050]);
    expect(turns.size).toBeGreaterThan(1_000);
    standStill(1_000);
    await begin("last");
    expect(turns.size).toBe(1_000);
  });

  it("cost nothing by what is known of other keys, however long theirs matters", async () => {
    let looks = 0;
    let nowMs = 0;
    const turns = new RateTurns({ nowMs: () => (looks++, nowMs) });
    const costOf = async (key: string): Promise<number> => {
      looks = 0;
      nowMs += 1;
      await turns.begin(key, { limit: 1, per_ms: 86_400_000 }, () => Promise.resolve(0));
      return looks;
    };
    const first = await costOf("first");
    for (let i = 0; i < 3_000; i++) await costOf(`customer-${i}`);
    expect(await costOf("last")).toBeLessThanOrEqual(first + 1);
    expect(turns.size).toBeLessThanOrEqual(1_001);
  });

  it("of which one cannot be asked for do not keep the others, nor do those of other keys", async () => {
    const { turns, nowMs } = worker();
    const away = turns.begin("k", LIMIT, () => Promise.reject(new Error("Redis is away")));
    const next = turns.begin("k", LIMIT, () => Promise.resolve(0));
    const other = turns.begin("other", LIMIT, () => Promise.resolve(0));
    await expect(away).rejects.toThrow("Redis is away");
    expect([await next, await other, nowMs()]).toEqual([0, 0, 1000]);
  });
});

describe("beginnings of one key with a long interval", () => {
  const HOURLY = { limit: 1, per_ms: 3_600_000 };

  it("that Redis has forgotten keep the next one for half a second, and the one after it for no longer", async () => {
    const { turns, nowMs } = worker();
    const begin = (): Promise<number> =>
      turns.begin("k", HOURLY, () => Promise.resolve(0)).then(nowMs);
    expect(await Promise.all([begin(), begin(), begin()])).toEqual([1000, 1500, 2000]);
  });

  it("keep one half a second, too, that has waited in line for longer than that", async () => {
    const { turns, nowMs, standStill } = worker();
    const asked: number[] = [];
    const ask = (holdMs: number): Promise<number> => {
      asked.push(holdMs);
      standStill(600);
      return Promise.resolve(0);
    };
    const begin = (): Promise<number> => turns.begin("k", HOURLY, ask).then(nowMs);
    const [, second] = await Promise.all([begin(), begin()]);
    expect(second).toBe(1000 + 600 + 600 + 500);
    expect(asked).toEqual([500, 0]);
  });

  it("wait elsewhere, without asking, while only the worker knows how late the last one was", async () => {
    const { turns, nowMs, standStill } = worker();
    let asked = 0;
    const ask = (lateMs: number) => (): Promise<number> => {
      asked++;
      standStill(lateMs);
      return Promise.resolve(0);
    };
    expect(await turns.begin("k", HOURLY, ask(3_000)).then(nowMs)).toBe(4000);
    standStill(3_597_000); // Redis counts from 1000 on
    expect(await turns.begin("k", HOURLY, ask(0))).toBe(3000);
    expect(asked).toBe(1);
    standStill(3_000);
    expect(await turns.begin("k", HOURLY, ask(0)).then(nowMs)).toBe(3_604_000);
  });
});
