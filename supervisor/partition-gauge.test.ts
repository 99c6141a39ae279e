/** What metrics tell of a partition in which something is not as it should be. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { GROUP, partitionKeys } from "../sdk/internal.ts";
import { LoadGauge } from "./load-gauge.ts";
import { partitionLoad, type PartitionLoad } from "./partition-gauge.ts";
import { startContext, type Supervised } from "./stack.fixture.ts";

const keys = partitionKeys(0);
const queue = keys.queue("fn:a", "normal");
const CURSOR = { seq: 1, nonce: "n", streamId: "1-1", epoch: 1 };
let supervised: Supervised;

beforeAll(async () => {
  supervised = await startContext({});
});
afterAll(async () => {
  await clear();
  await supervised.close();
});

async function clear(): Promise<void> {
  const { timers, quarantine, release, paused, ev, meta } = keys;
  await supervised.stack.redis.del(timers, quarantine, release, paused, ev, meta, queue);
}

beforeEach(async () => {
  await clear();
  const { redis } = supervised.stack;
  await redis.hset(keys.meta, { seq: 3, epoch: 1 });
  await redis.xadd(keys.ev, "1-1", "b", "x");
  await redis.xadd(keys.ev, "1-2", "b", "x");
  await redis.zadd(keys.timers, 1, "due");
  await redis.zadd(keys.release, 1, "r");
  await redis.zadd(keys.paused, 1, "p");
  await redis.xgroup("CREATE", queue, GROUP, 0, "MKSTREAM");
  await redis.xadd(queue, "*", "t", "token");
});

const look = (cursor: typeof CURSOR | undefined = CURSOR): Promise<PartitionLoad> =>
  partitionLoad(supervised.context, 0, new Set(["fn:a", "fn:b"]), cursor as never);

/** What is told of each figure; those that are not known are not there. */
async function told(cursor?: typeof CURSOR): Promise<{ [figure: string]: unknown }> {
  const { queues, lagMs, journalBytes, timersLateMs, ...figures } = await look(cursor);
  const known = { lagMs, journalBytes, timersLateMs };
  const are = Object.entries(known).filter(([, value]) => (value ?? 0) > 0);
  return { ...figures, are: are.map(([name]) => name), queues: queues.map((one) => one.waiting) };
}

const WHOLE = {
  ...{ lagRecords: 2, timersDue: 1, timersWaiting: 0, releases: 1, pausedRuns: 1, quarantined: 0 },
  ...{ are: ["lagMs", "journalBytes", "timersLateMs"], queues: [1] },
};

it("all of it, where nothing is wrong", async () => {
  expect(await told()).toEqual(WHOLE);
});

it.each([
  ["timers", keys.timers, { timersDue: undefined, timersWaiting: undefined }],
  ["quarantine", keys.quarantine, { quarantined: undefined }],
  ["release", keys.release, { releases: undefined }],
  ["journal", keys.ev, {}],
  ["a queue", queue, { queues: [] }],
])("all the rest, where something else stands in place of its %s", async (_, key, missing) => {
  const { redis } = supervised.stack;
  await redis.set(key, "not the engine's");
  const { are, ...found } = await told();
  const { are: all, ...whole } = WHOLE;
  expect(found).toEqual({ ...whole, ...missing });
  const gone = key === keys.timers ? "timersLateMs" : key === keys.ev ? "lagMs" : "";
  expect(are).toEqual(all.filter((name) => name !== gone));
  // Which the gauge tells as well, instead of nothing of the partition.
  const gauge = new LoadGauge(supervised.context, () => [0]);
  expect((await gauge.load()).partitions).toHaveLength(1);
});

it("no lag where it is not known up to where it is archived: none is another matter", async () => {
  const { context } = supervised;
  const { lagRecords, lagMs } = await partitionLoad(context, 0, new Set(), undefined);
  expect([lagRecords, lagMs]).toEqual([undefined, undefined]);
});
