/** Redis is emptied while runs are under way: what reached Postgres is not done again. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasPostgres } from "../chaos/has-postgres.ts";
import { waitFor } from "../support/index.ts";
import { keys, Scene, steps, sums } from "./scene.ts";

const RUNS = 40;
/** Stands for long enough that Redis is emptied meanwhile. */
const slow = {
  ...{ ...steps, name: "slow" },
  nodes: steps.nodes.map((node) =>
    node.id === "p"
      ? { ...node, config: { function_name: "builtin.sleep", params: { ms: 4000, value: 1 } } }
      : node,
  ),
};

describe("Redis emptied under load", async () => {
  if (!(await hasPostgres())) {
    it.skip("needs stores that can be killed", () => undefined);
    return;
  }
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.start(2);
  }, 60_000);
  afterAll(() => scene.stack.stop());

  it(
    "B9: completed nodes are not executed again, stale workers are refused, outputs are right",
    async () => {
      const { redis } = scene.stack;
      const ids = await scene.submit(slow, RUNS);
      await waitFor(() => scene.calls().filter((call) => call.includes("/p/")).length >= RUNS);
      await scene.archived();
      const epoch = Number(await redis.hget(keys.meta, "epoch"));
      await redis.flushall();
      await waitFor(async () => Number(await redis.hget(keys.meta, "epoch")) > epoch);
      expect(await scene.outputs(ids)).toEqual(sums(RUNS));
      const first = scene.calls().filter((call) => call.includes("/a/"));
      expect(first).toHaveLength(RUNS);
      // Each sleeper was under way and had to be begun anew; the first answer was of another epoch.
      // Once more where a slow machine has the server certified a second time meanwhile.
      const sleeps = scene.calls().filter((call) => call.includes("/p/")).length;
      expect(sleeps).toBeGreaterThanOrEqual(2 * RUNS);
      expect(sleeps).toBeLessThanOrEqual(3 * RUNS);
      expect(await scene.doubled(ids)).toEqual([]);
    },
    4 * 60_000,
  );
});
