/** C9: Postgres is away while runs are under way. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { backlogBytes } from "../../sdk/internal.ts";
import { hasPostgres } from "../chaos/has-postgres.ts";
import { waitFor } from "../support/index.ts";
import { keys, Scene } from "./scene.ts";

const RUNS = 12;
const ROUNDS = 600;
const BYTES_MAX = 200_000;
/** The journal is looked at once a second; what is written in between is more than the limit. */
const BYTES_SEEN_MAX = 20 * BYTES_MAX;

const rounds = {
  name: "rounds",
  nodes: [
    { id: "c", type: "function", config: { function_name: "builtin.counter" } },
    {
      ...{ id: "again", type: "loop" },
      config: {
        loop_back_to: "c",
        condition: `output.count < ${ROUNDS}`,
        max_iterations: 2 * ROUNDS,
      },
    },
  ],
  edges: [{ from: "c", to: "again" }],
  output: { count: "${ctx.c.output.count}" },
};

describe("Postgres away under load", async () => {
  if (!(await hasPostgres())) {
    it.skip("needs a Postgres that can be stopped", () => undefined);
    return;
  }
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.start(1, { backlogBytesMax: BYTES_MAX });
  }, 60_000);
  afterAll(() => scene.stack.stop());

  it(
    "C9: the journal in Redis stays bounded, workers stand still, and all of it is caught up",
    async () => {
      const { redis } = scene.stack;
      const ids = await scene.submit(rounds, RUNS);
      await scene.stack.killPostgres();
      let most = 0;
      let [last, since] = ["", performance.now()];
      await waitFor(
        async () => {
          most = Math.max(most, await backlogBytes(redis, keys));
          const seq = (await redis.hget(keys.meta, "seq")) ?? "";
          [last, since] = seq === last ? [last, since] : [seq, performance.now()];
          // That nothing moves has no event of its own: each worker has looked three times by then.
          return most > BYTES_MAX && performance.now() - since > 3000;
        },
        { timeoutMs: 90_000, describe: "the workers go on" },
      );
      expect(most).toBeLessThan(BYTES_SEEN_MAX);
      await scene.stack.startPostgres();
      const all = await scene.outputs(ids);
      expect(all).toEqual(ids.map(() => ({ count: ROUNDS })));
      expect(await scene.doubled(ids)).toEqual([]);
    },
    4 * 60_000,
  );
});
