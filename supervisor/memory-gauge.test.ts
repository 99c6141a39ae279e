/** The look at Redis' memory. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { MemoryGauge, memoryUse } from "./memory-gauge.ts";
import { startContext, TestClock, type Supervised } from "./stack.fixture.ts";

const clock = new TestClock();
let supervised: Supervised;

beforeAll(async () => {
  supervised = await startContext({ clock });
});
afterAll(() => supervised.close());

it("sees that Redis is full also after somebody has set the supervisor's clock back", async () => {
  const { context, stack } = supervised;
  const gauge = new MemoryGauge(context);
  const all = new Set([0]);
  expect(await gauge.tight(all)).toEqual(new Set());
  const { used } = await memoryUse(stack.redis);
  await stack.redis.config("SET", "maxmemory", used, "maxmemory-policy", "noeviction");
  clock.setAheadMs = -3_600_000;
  clock.offsetMs = 1000;
  expect(await gauge.tight(all)).toEqual(all);
});
