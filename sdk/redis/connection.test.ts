/** The end of a connection whose server is away, and of a pipeline. */
import { inspect } from "node:util";
import { expect, it } from "vitest";
import { openTestPartition } from "../../test/harness/partition.ts";
import { freePort, waitFor } from "../../test/support/index.ts";
import { connectionAt } from "./cluster-router.ts";
import { connectRedis } from "./connect.ts";

it("is heard by what waits to be sent while the server is away", async () => {
  const redis = connectRedis({ url: `redis://127.0.0.1:${await freePort()}` }, "test");
  const asked = redis.get("key");
  const ended = expect(asked).rejects.toThrow("Connection is closed");
  await waitFor(() => redis.status === "reconnecting");
  redis.disconnect();
  await ended;
  await expect(redis.get("key")).rejects.toThrow("Connection is closed");
});

it("a pipeline holds nothing of what it was sent and answered when it has been", async () => {
  const p = await openTestPartition();
  const key = p.scripts.keys.halted;
  const redis = connectionAt(p.redis, key);
  const pipeline = redis.pipeline().rpush(key, "a text").lrange(key, 0, -1);
  const holds = (): boolean => inspect(pipeline, { depth: 4, showHidden: true }).includes("a text");
  expect(holds()).toBe(true);
  const answered = [
    [null, 1],
    [null, ["a text"]],
  ];
  expect(await pipeline.exec()).toEqual(answered);
  expect([holds(), pipeline.length]).toEqual([false, 0]);
  await p.close();
});
