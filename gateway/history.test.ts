import { afterAll, beforeAll, expect, it } from "vitest";
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
import { readHistory } from "./history.ts";

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

it("reads a run's journal over many pages of the stream", async () => {
  await fill();
  const history = await readHistory(db, redis, 0, "r");
  expect(history.map(({ position }) => position)).toEqual(
    Array.from({ length: RECORDS }, (_, i) => `${i + 1}.0`),
  );
});

it("does not take a stream that is trimmed between two pages for the whole of it", async () => {
  await fill();
  let pages = 0;
  const trimmed = new Proxy(redis, {
    get(target, name) {
      if (name !== "xrange") {
        return Reflect.get(target, name) as unknown;
      }
      return async (...args: Parameters<Redis["xrange"]>) => {
        const page = await target.xrange(...args);
        if (++pages === 1) {
          await target.xtrim(ev, "MAXLEN", 100);
        }
        return page;
      };
    },
  });
  await expect(readHistory(db, trimmed, 0, "r")).rejects.toThrow("faster than it can be read");
});

it("does not end before what was heard live, though Redis was emptied meanwhile", async () => {
  await redis.del(ev);
  const cursor = await ensureCursor(db, 0, "start");
  const read = readHistory(db, redis, 0, "r", 2);
  // What the archiver still had in hand comes after the first look.
  const transitions = `[["1.0",1,{"e":"node.retrying","n":0,"a":1}],["2.0",2,{"e":"run.completed"}]]`;
  const segment = { runId: "r", seqFrom: 1, seqTo: 2, tFrom: 1, tTo: 2, transitions };
  await db.transaction(async (tx) => {
    await insertSegments(tx, [{ partition: 0, ...segment }]);
    await advanceCursor(tx, cursor, { ...cursor, seq: 2, nonce: "n2", streamId: "9-1" });
  });
  expect((await read).map(({ position }) => position)).toEqual(["1.0", "2.0"]);
  // What nobody has any more is no reason to tell the rest as the whole.
  await expect(readHistory(db, redis, 0, "r", 3)).rejects.toThrow("ends before what was heard");
}, 30_000);
