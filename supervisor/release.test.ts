/** What the sweep over the list of releases finds, and what it goes past. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { partitionKeys } from "../sdk/internal.ts";
import { waitFor } from "../test/support/index.ts";
import type { SupervisorContext } from "./context.ts";
import { Releaser } from "./release.ts";
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
