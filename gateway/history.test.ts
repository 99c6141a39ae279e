import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { connectionAt, connectRedis, partitionKeys, type Redis } from "../sdk/internal.ts";
import {
  advanceCursor,
  ensureCursor,
  insertSegments,
  type Database,
} from "../sdk/postgres/index.ts";
import {
  testDatabase,
  testRedis,
  type TestDatabase,
  type TestRedis,
} from "../test/support/index.ts";
import { Histories } from "./history.ts";

/** More than two pages of the stream. */
const RECORDS = 1200;
const { ev } = partitionKeys(0);
let stores: { redis: TestRedis; database: TestDatabase };
let redis: Redis;
let db: Database;

beforeAll(async () => {
  stores = { redis: await testRedis(), database: await testDatabase() };
  redis = connectRedis({ url: stores.redis.url }, "history");
  db = stores.database.connect();
});
afterAll(async () => {
  redis.disconnect();
  await Promise.all([stores.redis.close(), stores.database.close()]);
});

async function fill(): Promise<void> {
  await redis.del(ev);
  const pipeline = connectionAt(redis, ev).pipeline();
  for (let seq = 1; seq <= RECORDS; seq++) {
    const b = `[{"r":"r","e":"node.retrying","n":0,"a":${seq}}]`;
    const link = ["seq", seq, "nonce", `n${seq}`, "prev", `n${seq - 1}`];
    pipeline.xadd(ev, "*", "v", "1", ...link, "t", seq, "b", b);
  }
  await pipeline.exec();
}

/** The server, and what is done after each page of the stream that was read from it. */
function afterPages(work: (page: [string, string[]][]) => unknown): Redis {
  return new Proxy(redis, {
    get(target, name) {
      if (name !== "xrange") {
        return Reflect.get(target, name) as unknown;
      }
      return async (...args: Parameters<Redis["xrange"]>) => {
        const page = await target.xrange(...args);
        await work(page);
        return page;
      };
    },
  });
}

it("reads a run's journal over many pages of the stream", async () => {
  await fill();
  const history = await new Histories(db, redis, 0).read("r");
  expect(history.map(({ position }) => position)).toEqual(
    Array.from({ length: RECORDS }, (_, i) => `${i + 1}.0`),
  );
});

it("does not take a stream that is trimmed between two pages for the whole of it", async () => {
  await fill();
  let pages = 0;
  const trimmed = afterPages(() => (++pages === 1 ? redis.xtrim(ev, "MAXLEN", 100) : undefined));
  await expect(new Histories(db, trimmed, 0).read("r")).rejects.toMatchObject({
    code: "GV_HISTORY_MOVING",
  });
});

it("does not end before what was heard live, though Redis was emptied meanwhile", async () => {
  await redis.del(ev);
  const cursor = await ensureCursor(db, 0, "start");
  const read = new Histories(db, redis, 0).read("r", 2);
  // What the archiver still had in hand comes after the first look.
  const transitions = `[["1.0",1,{"e":"node.retrying","n":0,"a":1}],["2.0",2,{"e":"run.completed"}]]`;
  const segment = { runId: "r", seqFrom: 1, seqTo: 2, tFrom: 1, tTo: 2, transitions };
  await db.transaction(async (tx) => {
    await insertSegments(tx, [{ partition: 0, ...segment }]);
    await advanceCursor(tx, cursor, { ...cursor, seq: 2, nonce: "n2", streamId: "9-1" });
  });
  expect((await read).map(({ position }) => position)).toEqual(["1.0", "2.0"]);
  // What nobody has any more is no reason to tell the rest as the whole.
  await expect(new Histories(db, redis, 0).read("r", 3)).rejects.toMatchObject({
    code: "GV_HISTORY_BEHIND",
  });
}, 30_000);

describe("a long journal that is not archived", () => {
  const OTHERS = Array.from({ length: 20 }, (_, i) => ({ r: `other-${i}`, e: "x", o: { r: "r" } }));
  const MEMBER = '{"r":"r7","e":"node.retrying","n":0,"a":1}';

  /** Every hundredth record is of one of ten runs, among others. */
  async function fillLong(): Promise<void> {
    await redis.del(ev);
    await db.query({ name: "history_forget", text: "DELETE FROM cursors" });
    const pipeline = connectionAt(redis, ev).pipeline();
    for (let seq = 1; seq <= RECORDS; seq++) {
      const own = seq % 100 === 0 ? `,${MEMBER.replace("r7", `r${(seq / 100) % 10}`)}` : "";
      const link = ["seq", seq, "nonce", `n${seq}`, "prev", `n${seq - 1}`];
      const b = `${JSON.stringify(OTHERS).slice(0, -1)}${own}]`;
      pipeline.xadd(ev, "*", "v", "1", ...link, "t", seq, "b", b);
    }
    await pipeline.exec();
  }

  it("is read in small pages, and only what names the run is taken apart", async () => {
    await fillLong();
    const pages: number[] = [];
    const histories = new Histories(
      db,
      afterPages((page) => pages.push(page.length)),
      0,
    );
    const parse = vi.spyOn(JSON, "parse");
    const history = await histories.read("r7");
    const parsed = parse.mock.calls.filter(([text]) => text.includes("other-")).length;
    parse.mockRestore();
    expect(history.map(({ position }) => position)).toEqual(["700.20"]);
    expect(parsed).toBe(1);
    expect(Math.max(...pages)).toBeLessThanOrEqual(32);
  });

  it("is read once for all who ask meanwhile, and each hears its own", async () => {
    await fillLong();
    let records = 0;
    const histories = new Histories(
      db,
      afterPages((page) => (records += page.length)),
      0,
    );
    const asked = Array.from({ length: 60 }, (_, i) => histories.read(`r${i % 10}`));
    const late = histories.read("r1", RECORDS);
    const found = await Promise.all([...asked, late]);
    expect(found.map((one) => one.map(({ position }) => position))).toEqual(
      [...Array.from({ length: 60 }, (_, i) => i % 10), 1].map((r) =>
        [r, r + 10].filter((at) => at > 0 && at <= 12).map((at) => `${at * 100}.20`),
      ),
    );
    expect(records).toBeLessThanOrEqual(2 * RECORDS);
  });

  it("that cannot be read is told to all who asked, and read for those who ask then", async () => {
    await fillLong();
    let isAway = true;
    const histories = new Histories(
      db,
      afterPages(() => (isAway ? Promise.reject(new Error("away")) : undefined)),
      0,
    );
    const asked = ["r1", "r2"].map((run) => histories.read(run));
    expect((await Promise.allSettled(asked)).map(({ status }) => status)).toEqual([
      "rejected",
      "rejected",
    ]);
    isAway = false;
    expect(await histories.read("r2")).toHaveLength(2);
  });
});
