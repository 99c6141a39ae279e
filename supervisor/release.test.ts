/** What the sweep over the list of releases finds, and what it goes past. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { partitionKeys } from "../sdk/internal.ts";
import { intercepted, waitFor } from "../test/support/index.ts";
import type { SupervisorContext } from "./context.ts";
import { Releaser } from "./release.ts";
import { releaseMapsOf } from "./release-maps.ts";
import {
  chainIr,
  startPartition,
  startRuns,
  work,
  type Stack,
  type Supervised,
} from "./stack.fixture.ts";

const keys = partitionKeys(0);
const ir = chainIr(["a"]);
let stack: Stack;
let context: SupervisorContext;
let supervised: Supervised;

beforeAll(async () => {
  supervised = await startPartition();
  ({ stack, context } = supervised);
});
afterAll(() => supervised.close());

it("names without a row, however many, do not keep it from those that have one", async () => {
  const nobody = Array.from({ length: 1200 }, (_, i) => `nobody-${i}`);
  await stack.redis.zadd(keys.release, ...nobody.flatMap((name) => [1, name]));
  await startRuns(context, ir, "h-release", ["left"]);
  await work(stack, ir, "h-release");
  const isGone = async (): Promise<boolean> => (await stack.redis.exists(keys.run("left"))) === 0;
  await waitFor(isGone, { describe: "it is not released" });
  // As one leaves it that dies between the commit of the end and the release.
  await stack.redis.hset(keys.run("left"), { s: "completed", e: "1", ir: "h-release" });
  await stack.redis.zadd(keys.release, 2, "left");
  const sweeping = new Releaser(context, 0);
  await sweeping.start();
  await waitFor(isGone, { describe: "the sweep does not come to it" });
  await sweeping.stop(1000);
  expect(await stack.redis.zcard(keys.release)).toBe(nobody.length);
});

it("a map that begins while those of its run before are removed stays listed", async () => {
  const [before, after] = ["redriven!0", "redriven!7"];
  await stack.redis.sadd(keys.maps("redriven"), before);
  const slow = intercepted(stack.redis, (name, call) => async (...args: unknown[]) => {
    const answer = await call(...args);
    if (name === "smembers") {
      await stack.redis.sadd(keys.maps("redriven"), after);
    }
    return answer;
  });
  await releaseMapsOf(slow, keys, ["redriven"]);
  expect(await stack.redis.smembers(keys.maps("redriven"))).toEqual([after]);
  await releaseMapsOf(stack.redis, keys, ["redriven"]);
  expect(await stack.redis.exists(keys.maps("redriven"))).toBe(0);
});
