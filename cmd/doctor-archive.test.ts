import { afterAll, beforeAll, expect, it } from "vitest";
import { partitionKeys } from "../sdk/internal.ts";
import { ensureCursor } from "../sdk/postgres/index.ts";
import {
  testDatabase,
  testRedis,
  type TestDatabase,
  type TestRedis,
} from "../test/support/index.ts";
import { archiveCheck, lagOf } from "./doctor-archive.ts";

let services: TestRedis;
let database: TestDatabase;

beforeAll(async () => {
  services = await testRedis();
  database = await testDatabase();
});
afterAll(() => Promise.all([services.close(), database.close()]));

it("a partition is behind by the records after its cursor, for as long as the oldest is there", async () => {
  const [redis, db, keys] = [services.connect(), database.connect(), partitionKeys(0)];
  expect(await lagOf(redis, db, 0)).toBeNull();
  const { epoch } = await ensureCursor(db, 0, "nonce");
  await redis.hset(keys.meta, { epoch, seq: 0 });
  expect(await lagOf(redis, db, 0)).toBeNull();
  await redis.xadd(keys.ev, "1-1", "r", "a");
  await redis.xadd(keys.ev, "*", "r", "b");
  await redis.hset(keys.meta, "seq", 2);
  const lag = await lagOf(redis, db, 0);
  expect(lag).toMatchObject({ partition: 0, records: 2 });
  expect(lag?.ms).toBeGreaterThan(1_000_000_000_000);
  // Another epoch: whoever certifies the partition says what is to become of it.
  await redis.hset(keys.meta, "epoch", epoch + 1);
  expect(await lagOf(redis, db, 0)).toBeNull();
});

it("an archive that is seconds behind is a warning, one that stands still is bad", () => {
  const lag = (partition: number, ms: number) => ({ partition, records: 7, ms });
  const fresh = { name: "archive", state: "ok", text: "up to date" };
  expect(archiveCheck([])).toEqual(fresh);
  expect(archiveCheck([lag(0, 4999)])).toEqual(fresh);
  expect(archiveCheck([lag(0, 10), lag(1, 6000)])).toEqual({
    ...{
      name: "archive",
      state: "warning",
      text: "behind in partition(s) 1 (7 records, for 6.0 s)",
    },
  });
  const still = archiveCheck([lag(1, 6000), lag(3, 60_000)]);
  expect(still.state).toBe("bad");
  expect(still.text).toMatch(/^behind in partition\(s\) 3 \(.*\), 1 \(.*\); no run there ends/);
  const many = archiveCheck(Array.from({ length: 12 }, (_, p) => lag(p, 60_000)));
  expect(many.text).toContain(" and 2 more; ");
});
