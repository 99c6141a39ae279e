import { afterAll, beforeAll, expect, it } from "vitest";
import { createGroups, globalKeys, INTAKE_GROUP } from "../sdk/internal.ts";
import { LOOK_MS } from "./left-behind.ts";
import { startContext, type Supervised } from "./stack.fixture.ts";
import { IDLE_MS, Trials } from "./trials.ts";

/** Default of `submit_timeout_ms`. */
const WAITS_MS = 10_000;
let on: Supervised;

beforeAll(async () => {
  on = await startContext();
});
afterAll(() => on.close());

it("what a supervisor that died had in hand is taken over while its client still waits", async () => {
  const { redis } = on.stack;
  const key = globalKeys.submissions;
  await createGroups(redis, [key], INTAKE_GROUP);
  const id = (await redis.xadd(key, "*", "submission", "{}")) as string;
  await redis.xreadgroup("GROUP", INTAKE_GROUP, "dead", "STREAMS", key, ">");
  const trials = new Trials(on.context, { youngMs: 0 });
  expect(await trials.leftBehind(10)).toEqual([]);

  // Seen by the look that comes at the latest; the rest is for the trial, alone, and the answer.
  const seenMs = WAITS_MS * 0.75 - LOOK_MS;
  await redis.xclaim(key, INTAKE_GROUP, "dead", 0, id, "IDLE", seenMs, "JUSTID");
  expect(await trials.leftBehind(10)).toEqual([{ id, trials: 0 }]);
  expect(IDLE_MS + LOOK_MS).toBeLessThan(WAITS_MS * 0.75);
});
