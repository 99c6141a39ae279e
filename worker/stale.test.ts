import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { GROUP } from "../sdk/internal.ts";
import { staleIn } from "../test/harness/deliveries.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { openTestPartition } from "../test/harness/partition.ts";
import { TokenPlayer } from "../test/harness/tokens.ts";
import { claim } from "./stale.ts";

const p = await openTestPartition();
afterAll(() => p.close());
beforeEach(() => p.reset());

/** Three entries that a dead worker has read. */
async function abandoned(): Promise<{ run: TokenPlayer; queues: string[] }> {
  const profile = await p.publish(miniIr(["a", "b", "c"], []), "three");
  const run = new TokenPlayer(p, profile, "run-1");
  await run.start();
  expect(await run.read("dead")).toHaveLength(3);
  return { run, queues: [...profile.queueKeys, ...profile.entryKeys] };
}

describe("what a dead worker held", () => {
  it("A13: is taken over one by one; only the one that is taken counts a delivery", async () => {
    const { queues } = await abandoned();
    const [first, ...rest] = await staleIn(p.scripts.redis, queues);
    const { meta } = p.scripts.keys;
    const { tokens } = await claim(p.scripts.redis, meta, [first as never], "other", 0);
    expect(tokens).toHaveLength(1);
    const now = await staleIn(p.scripts.redis, queues);
    const deliveries = new Map(now.map((entry) => [entry.entryId, entry.deliveries]));
    expect(deliveries.get(first?.entryId ?? "")).toBe(2);
    expect(rest.map(({ entryId }) => deliveries.get(entryId))).toEqual([1, 1]);
  });

  it("is taken over in the order in which it was left, whatever queue it is in", async () => {
    const { queues } = await abandoned();
    const { redis } = p.scripts;
    const found = await staleIn(redis, queues);
    for (const [i, { queueKey, entryId }] of found.entries()) {
      const idleMs = [200_000, 100_000, 300_000][i] ?? 0;
      await redis.xclaim(queueKey, GROUP, "dead", 0, entryId, "IDLE", idleMs, "JUSTID");
    }
    const now = (await staleIn(redis, queues)).map(({ entryId }) => entryId);
    expect(now).toEqual([2, 0, 1].map((i) => found[i]?.entryId));
  });

  it("C10: an entry that was deleted is nobody's any more", async () => {
    const { queues } = await abandoned();
    const found = await staleIn(p.scripts.redis, queues);
    const [first] = found;
    await p.scripts.redis.xdel(first?.queueKey ?? "", first?.entryId ?? "");
    const { meta } = p.scripts.keys;
    const claimed = await claim(p.scripts.redis, meta, found as never, "other", 0);
    expect([claimed.tokens.length, claimed.garbage.length]).toEqual([2, 0]);
    const left = await staleIn(p.scripts.redis, queues);
    expect(left.map(({ entryId }) => entryId)).not.toContain(first?.entryId);
  });
});
