/** What is left behind is removed by its age, and of ages there is one clock: the database's. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { globalKeys } from "../sdk/internal.ts";
import {
  databaseTimeMs,
  insertBlobs,
  listWorkers,
  readBlobs,
  reportWorker,
} from "../sdk/postgres/index.ts";
import { Reaper } from "./reaper.ts";
import { startContext, TestClock, type Supervised } from "./stack.fixture.ts";

const HOUR_MS = 3_600_000;
const sha = (letter: string): string => letter.repeat(64);
const clock = new TestClock();
let supervised: Supervised;

beforeAll(async () => {
  supervised = await startContext({ clock });
});
afterAll(() => supervised.close());

it.each([
  ["ahead", 48],
  ["back", -48],
])("a supervisor whose clock is set %s removes what is old, and nothing else", async (_, hours) => {
  clock.setAheadMs = hours * HOUR_MS;
  const { stack, context } = supervised;
  const { db, redis } = stack;
  const nowMs = await databaseTimeMs(db);
  const oldMs = nowMs - 3 * HOUR_MS;
  for (const [id, lastSeenAtMs] of [
    ["young", nowMs],
    ["old", oldMs],
  ] as const) {
    const worker = { id, host: "h", pid: 1, queues: [], concurrency: 1, inFlight: 0 };
    await reportWorker(db, { ...worker, startedAtMs: oldMs, lastSeenAtMs });
    await redis.set(globalKeys.ir(id), "{}");
    await redis.zadd(globalKeys.irUse, lastSeenAtMs, id);
  }
  await insertBlobs(db, [{ runId: "nobody", sha256: sha("a"), text: "1" }]);
  await insertBlobs(db, [{ runId: "nobody", sha256: sha("b"), text: "1" }], oldMs);
  await new Reaper(context).look();
  expect((await listWorkers(db)).map(({ id }) => id)).toEqual(["young"]);
  expect(await redis.zrange(globalKeys.irUse, 0, -1)).toEqual(["young"]);
  expect([...(await readBlobs(db, [sha("a"), sha("b")])).keys()]).toEqual([sha("a")]);
});
