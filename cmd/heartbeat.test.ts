/** Who lives is told by one clock, the database's: those of machines differ. */
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { systemClock } from "../sdk/internal.ts";
import { listWorkers, livingWorkers, type Database } from "../sdk/postgres/index.ts";
import { testDatabase, waitFor, type TestDatabase } from "../test/support/index.ts";
import { checkWorkers } from "./doctor-services.ts";
import { createHeartbeat } from "./heartbeat.ts";

const HOUR_MS = 3_600_000;
let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await testDatabase();
  db = database.connect();
});
afterAll(() => database.close());
afterEach(() => vi.restoreAllMocks());

it.each([
  ["ahead of", HOUR_MS],
  ["behind", -HOUR_MS],
])("a worker whose clock is an hour %s the others' lives", async (_, byMs) => {
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + byMs };
  const worker = { queues: ["fn:a"], inFlight: () => 0 } as never;
  const about = { db, worker, id: "w", concurrency: 3, logger: pino({ level: "silent" }) };
  const beats = createHeartbeat({ ...about, clock });
  await beats.start();
  try {
    expect(await checkWorkers({ db } as never)).toMatchObject([{ state: "ok" }]);
    expect((await livingWorkers(db)).map(({ id }) => id)).toEqual(["w"]);
  } finally {
    await beats.stop(0);
  }
  await waitFor(async () => (await listWorkers(db)).length === 0);
});

it("who asks with a clock that is an hour off is told the same", async () => {
  const worker = { queues: [], inFlight: () => 0 } as never;
  const about = { db, worker, id: "w", concurrency: 3, logger: pino({ level: "silent" }) };
  const beats = createHeartbeat({ ...about, clock: systemClock });
  await beats.start();
  try {
    for (const byMs of [HOUR_MS, -HOUR_MS]) {
      const nowMs = Date.now() + byMs;
      vi.spyOn(Date, "now").mockReturnValue(nowMs);
      expect(await checkWorkers({ db } as never)).toMatchObject([{ state: "ok" }]);
      vi.restoreAllMocks();
    }
  } finally {
    await beats.stop(0);
  }
});
