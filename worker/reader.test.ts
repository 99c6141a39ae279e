/** Levels of the queues: who goes first, and that nobody starves. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Priority } from "../compiler/ir.ts";
import { connectionAt, packEntry } from "../sdk/internal.ts";
import { testPartition, type TestPartition } from "../test/harness/partition.ts";
import { testRedis } from "../test/support/index.ts";
import { FRESH_MS, News } from "./news.ts";
import { QueueReader } from "./reader.ts";

const own = await testRedis();
let p: TestPartition;
let reader: QueueReader;
let news: News;

beforeAll(async () => {
  p = await testPartition(own.connect());
});
afterAll(() => own.close());
beforeEach(async () => {
  await p.reset();
  const queues = ["kind:x"];
  const { keys } = p.scripts;
  news = new News(keys.halted);
  const clientId = await p.scripts.redis.client("ID");
  reader = new QueueReader({ redis: p.scripts.redis, clientId, keys, queues, consumer: "c", news });
  await reader.createGroups(p.scripts.redis);
});

async function add(runs: string, priority: Priority, count: number, isNew = false): Promise<void> {
  const { keys } = p.scripts;
  const key = isNew ? keys.entryQueue("kind:x", priority) : keys.queue("kind:x", priority);
  for (let i = 0; i < count; i++) {
    const token = {
      runId: count === 1 ? runs : `${runs}-${i}`,
      epoch: 1,
      node: 0,
      scope: "",
      attempt: 1,
    };
    const rest = { irHash: "h", kind: "run", arrivals: "", payload: "" } as const;
    await p.scripts.redis.xadd(key, "*", "t", packEntry({ ...token, ...rest }));
  }
}

/** The runs of `looks` reads of four tokens each. */
async function read(looks: number): Promise<string[][]> {
  const all: string[][] = [];
  for (let i = 0; i < looks; i++) {
    const { tokens } = await reader.read(4, 10);
    all.push(tokens.map((token) => token.runId.split("-")[0] ?? ""));
  }
  return all;
}

describe("levels", () => {
  it("runs on their way go before new ones, once both have piled up", async () => {
    await add("new", "normal", 40, true);
    await add("old", "normal", 20);
    const looks = await read(4);
    expect(looks.slice(1).flat()).not.toContain("new");
  });

  it("new runs do not begin faster than those on their way end", async () => {
    const steps = 20;
    await add("new", "normal", 200, true);
    const left = new Map<string, number>();
    let inFlightMax = 0;
    for (let look = 0; look < 200; look++) {
      for (const { runId } of (await reader.read(4, 10)).tokens) {
        const more = (left.get(runId) ?? steps) - 1;
        left.set(runId, more);
        if (more > 0) {
          await add(runId, "normal", 1);
        }
      }
      const inFlight = [...left.values()].filter((more) => more > 0).length;
      inFlightMax = Math.max(inFlightMax, inFlight);
    }
    expect(inFlightMax).toBeLessThanOrEqual(16);
  });

  it("high overtakes low under a backlog, and low gets a share all the same", async () => {
    await add("low", "low", 60);
    await add("high", "high", 280);
    const looks = await read(64);
    const alone = looks.filter((runs) => !runs.includes("low")).length;
    expect(alone).toBeGreaterThanOrEqual(60);
    expect(looks.slice(0, 32).flat()).toContain("low");
    expect(looks.slice(32).flat()).toContain("low");
  });

  it("what stands below an empty level is read at once", async () => {
    await add("high", "high", 4);
    expect((await read(2)).flat()).toEqual(["high", "high", "high", "high"]);
    await add("low", "low", 1, true);
    expect((await read(1)).flat()).toEqual(["low"]);
  });

  it("nothing anywhere is an empty batch after the wait", async () => {
    expect(await reader.read(4, 1)).toEqual({ tokens: [], garbage: [] });
  });
});

describe("one read", () => {
  const ROOM = 8;
  const QUEUES = Array.from({ length: 10 }, (_, i) => `kind:${i}`);
  let wide: QueueReader;

  beforeEach(async () => {
    const { keys, redis } = p.scripts;
    const clientId = await redis.client("ID");
    wide = new QueueReader({ redis, clientId, keys, queues: QUEUES, consumer: "c", news });
    await wide.createGroups(redis);
  });

  /** So many tokens in each of these queues. */
  async function fill(queues: readonly string[], count: number): Promise<void> {
    const token = { runId: "r", epoch: 1, node: 0, scope: "", attempt: 1, irHash: "h" };
    const text = packEntry({ ...token, kind: "run", arrivals: "", payload: "" });
    for (const queue of queues) {
      const key = p.scripts.keys.queue(queue, "normal");
      for (let i = 0; i < count; i++) {
        await p.scripts.redis.xadd(key, "*", "t", text);
      }
    }
  }

  /** How much each read brings, until nothing is left. */
  async function drain(): Promise<number[]> {
    const found: number[] = [];
    while (found.at(-1) !== 0) {
      found.push((await wide.read(ROOM, 10)).tokens.length);
    }
    return found;
  }

  it("brings about as much as there is room for, also if all queues fill at one time", async () => {
    await wide.read(ROOM, 1);
    await fill(QUEUES, 20);
    const found = await drain();
    expect(found.reduce((sum, n) => sum + n, 0)).toBe(200);
    expect(Math.max(...found)).toBeLessThanOrEqual(ROOM + 2 * QUEUES.length);
  });

  it("brings about as much if all the others fill while one of them had plenty", async () => {
    await fill(QUEUES.slice(0, 1), 3 * ROOM);
    await wide.read(ROOM, 1);
    expect((await wide.read(ROOM, 1)).tokens).toHaveLength(ROOM);
    await fill(QUEUES.slice(1), 20);
    expect((await wide.read(ROOM, 1)).tokens.length).toBeLessThanOrEqual(ROOM + 2 * QUEUES.length);
    expect(Math.max(...(await drain()))).toBeLessThanOrEqual(ROOM + 2 * QUEUES.length);
  });

  it("has all the room for one queue that has plenty, from the second on", async () => {
    await fill(QUEUES.slice(3, 4), 10 * ROOM);
    await wide.read(ROOM, 1);
    for (let look = 0; look < 9; look++) {
      expect((await wide.read(ROOM, 1)).tokens).toHaveLength(ROOM);
    }
  });
});

describe("B1: what is heard along with the entries", () => {
  it("names each run that was halted before they were read, and asks for it only once", async () => {
    const { halted } = p.scripts.keys;
    const nowMs = async (): Promise<number> => Number((await p.scripts.redis.time())[0]) * 1000;
    await p.scripts.redis.zadd(halted, (await nowMs()) - 5000, "early");
    await add("old", "normal", 1);
    expect((await read(1)).flat()).toEqual(["old"]);
    expect(news.isHalted("early")).toBe(true);
    // What is behind the last look is not sent again.
    await p.scripts.redis.zadd(halted, (await nowMs()) - 4000, "unseen");
    await p.scripts.redis.zadd(halted, (await nowMs()) + 2000, "late");
    await reader.read(4, 1);
    expect(["early", "unseen", "late"].map((run) => news.isHalted(run))).toEqual([
      true,
      false,
      true,
    ]);
  });

  it("forgets those whose tokens are checked by their age anyway", async () => {
    const [seconds] = await p.scripts.redis.time();
    await p.scripts.redis.zadd(
      p.scripts.keys.halted,
      Number(seconds) * 1000 - FRESH_MS - 2000,
      "old",
    );
    await reader.read(4, 1);
    expect(news.isHalted("old")).toBe(false);
  });

  it("has Redis' time", async () => {
    await reader.read(4, 1);
    const [seconds] = await p.scripts.redis.time();
    expect(Math.abs(news.nowMs() - Number(seconds) * 1000)).toBeLessThan(2000);
  });

  it("has Redis' time also if the answer was heard long after it was given", async () => {
    const { redis } = p.scripts;
    const reading = reader.read(4, 100);
    await new Promise((resolve) => setImmediate(resolve));
    // The time is the subject: Redis answers after 100 ms, and this process stands still meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
    await reading;
    const [seconds, micros] = await redis.time();
    const redisMs = Number(seconds) * 1000 + Number(micros) / 1000;
    expect(Math.abs(news.nowMs() - redisMs)).toBeLessThan(900);
  });

  it("hears of a halt that is a little older than its last look, by a clock that stepped back", async () => {
    const { halted } = p.scripts.keys;
    await reader.read(4, 1);
    const [seconds, micros] = await p.scripts.redis.time();
    const redisMs = Number(seconds) * 1000 + Number(micros) / 1000;
    await p.scripts.redis.zadd(halted, Math.floor(redisMs) - 500, "stepped");
    await reader.read(4, 1);
    expect(news.isHalted("stepped")).toBe(true);
  });

  it("is no condition of the entries: without it they are checked by their records", async () => {
    await add("one", "normal", 1);
    await p.scripts.redis.set(p.scripts.keys.halted, "not a sorted set");
    expect((await read(1)).flat()).toEqual(["one"]);
    expect(news.isHalted("one")).toBe(true);
    await p.scripts.redis.del(p.scripts.keys.halted);
    await reader.read(4, 1);
    expect(news.isHalted("one")).toBe(false);
  });
});

describe("a read that waits for tokens", () => {
  it("is ended by whoever must have nothing read meanwhile, even if told before it waits", async () => {
    const reading = reader.read(4, 1_000_000).then(({ tokens }) => expect(tokens).toEqual([]));
    await reader.endWait(connectionAt(own.connect(), p.scripts.keys.meta), reading);
    await reading;
  });
});
