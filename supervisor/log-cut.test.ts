/**
 * A log that ends in the middle of a script. Redis does not play that part, but leaves the beginning of
 * it in the file and writes on behind it (7.0): whoever loads that log once more gets half a script.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { connectRedis, partitionKeys } from "../sdk/internal.ts";
import { RedisBox } from "../test/chaos/redis-box.ts";
import { testDatabase, waitFor } from "../test/support/index.ts";
import { createPartition } from "./partition.ts";
import { contextOf, type Stack } from "./stack.fixture.ts";

const keys = partitionKeys(0);
const SCRIPT = "redis.call('SET', KEYS[1], '1') redis.call('SET', KEYS[2], ARGV[1])";

it("half of a script that a crash had cut off does not come back with the next restart", async () => {
  const dir = await mkdtemp(join(tmpdir(), "gv-cut-"));
  const box = new RedisBox(dir);
  await box.start();
  const database = await testDatabase();
  const redisUrl = box.url;
  const redis = connectRedis({ url: redisUrl }, "test");
  const stack = { redisUrl, redis, db: database.connect() } as Stack;
  const certified = async (): Promise<void> => {
    const context = await contextOf(stack);
    const partition = createPartition(context, 0);
    await partition.start();
    await waitFor(async () => {
      const persistence = await redis.info("persistence");
      const isDone = persistence.includes("aof_rewrite_in_progress:0");
      return isDone && (await redis.hget(keys.meta, "epoch")) !== null;
    });
    await partition.stop(5000);
    context.close();
  };
  try {
    await certified();
    await redis.eval(SCRIPT, 2, "half", "rest", "x".repeat(500));
    await box.kill();
    box.cutLog(250);
    await box.start();
    expect(await redis.exists("half")).toBe(0);
    const written = /aof_rewrites:(\d+)/;
    const before = Number(written.exec(await redis.info("persistence"))?.[1]);
    await certified();
    await waitFor(async () => {
      const text = await redis.info("persistence");
      return text.includes("aof_rewrite_in_progress:0") && Number(written.exec(text)?.[1]) > before;
    });
    await redis.eval(SCRIPT, 2, "other", "more", "x");
    await box.kill();
    await box.start();
    expect(await redis.exists("half", "other")).toBe(1);
  } finally {
    redis.disconnect();
    await box.stop();
    await database.close();
    await rm(dir, { recursive: true, force: true });
  }
}, 60_000);
