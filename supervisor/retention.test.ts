/** The role that deletes what ended long ago. */
import { pino } from "pino";
import { afterAll, beforeEach, expect, it } from "vitest";
import { testDatabase, testRedis, waitFor } from "../test/support/index.ts";
import { createSupervisor } from "./index.ts";
import { Retention } from "./retention.ts";
import { contextOf, TestClock, type Stack } from "./stack.fixture.ts";

const HOUR_MS = 3_600_000;
const redis = await testRedis();
const server = await testDatabase();
const db = server.connect();
const clock = new TestClock();
const context = await contextOf({ db, redis: redis.connect(), redisUrl: redis.url } as Stack, {
  clock,
});
let serial = 0;
const sql = (text: string) => db.query({ name: `retention_role_${serial++}`, text });
const runs = async (): Promise<number> => (await sql("SELECT id FROM runs")).length;

/** So many runs that have just ended, and one of them with a letter that is open. */
async function endedNow(count: number): Promise<void> {
  const now = Date.now();
  await sql(`INSERT INTO runs (id, workflow, version, ir_hash, partition, priority, status, input,
      created_at_ms, ended_at_ms, updated_at_ms)
    SELECT 'r' || i, 'w', '1', 'h', 0, 'normal', 'FAILED', '{}', ${now}, ${now}, ${now}
    FROM generate_series(1, ${count}) AS i`);
  await sql(`INSERT INTO dead_letters (id, kind, run_id, error, created_at_ms)
    VALUES ('l', 'token', 'r1', '{}', ${now})`);
}

async function hoursPass(hours: number): Promise<void> {
  await sql(`UPDATE runs SET created_at_ms = created_at_ms - ${hours * HOUR_MS},
    ended_at_ms = ended_at_ms - ${hours * HOUR_MS},
    updated_at_ms = updated_at_ms - ${hours * HOUR_MS}`);
}

afterAll(async () => {
  context.close();
  await Promise.all([redis.close(), server.close()]);
});
beforeEach(async () => {
  await sql("DELETE FROM runs");
  await sql("DELETE FROM dead_letters");
});

it("deletes what is old enough page by page, and what came to be so in the next pass", async () => {
  await endedNow(250);
  const retention = new Retention(context, { endedMs: HOUR_MS, lettersMs: 3 * HOUR_MS });
  expect(await retention.look()).toBe(false);
  expect(await runs()).toBe(250);
  await hoursPass(2);
  expect([await retention.look(), await runs()]).toEqual([true, 151]);
  expect([await retention.look(), await runs()]).toEqual([true, 51]);
  expect([await retention.look(), await runs()]).toEqual([false, 1]);
  await hoursPass(2);
  expect([await retention.look(), await runs()]).toEqual([false, 0]);
});

it("keeps what has an open letter for ever if nothing else is said", async () => {
  await endedNow(2);
  await hoursPass(1000);
  await new Retention(context, { endedMs: HOUR_MS, lettersMs: 0 }).look();
  expect(await sql("SELECT id FROM runs")).toEqual([{ id: "r1" }]);
});

it("deletes nothing too early because somebody has set the supervisor's clock ahead", async () => {
  await endedNow(2);
  clock.setAheadMs = 1000 * HOUR_MS;
  await new Retention(context, { endedMs: HOUR_MS, lettersMs: HOUR_MS }).look();
  clock.setAheadMs = 0;
  expect(await runs()).toBe(2);
});

it("is a role of one supervisor, where the deployment says how long, and of none where not", async () => {
  await endedNow(2);
  await hoursPass(2);
  const make = (retention?: { endedMs: number; lettersMs: number }) =>
    createSupervisor({
      ...{ redisUrl: redis.url, database: db, logger: pino({ level: "silent" }) },
      ...(retention !== undefined && { retention }),
    });
  const without = make();
  await without.start();
  await waitFor(() => without.roles().length === 1);
  expect([without.roles(), await runs()]).toEqual([["partition 0"], 2]);
  await without.stop(5000);
  const keeper = make({ endedMs: HOUR_MS, lettersMs: 0 });
  await keeper.start();
  await waitFor(() => keeper.roles().includes("retention"));
  await waitFor(async () => (await runs()) === 1);
  await keeper.stop(5000);
});
