/** What belongs to no run: the audit names it with its key, and the repair removes it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GROUP, packEntry, partitionKeys, type Drift } from "../../sdk/internal.ts";
import { repairDrifts } from "../../supervisor/index.ts";
import { Audited, fn, line, waits } from "./audited.fixture.ts";

const keys = partitionKeys(0);
let on: Audited;

beforeAll(async () => {
  on = await Audited.start();
});
afterAll(() => on.stop());

describe("what belongs to no run", () => {
  const gone = "0199aaaa-0000-7000-8000-00000000beef";

  it("is named with its key, and removed: entries, deliveries, timers, keys, lists", async () => {
    const { redis } = on.engine;
    const queue = keys.queue("fn:nobody", "normal");
    const place = { runId: gone, epoch: 1, node: 0, scope: "", attempt: 1, irHash: "h" };
    const entry = packEntry({ ...place, kind: "run", arrivals: "", payload: "" });
    await redis.xgroup("CREATE", queue, GROUP, "0", "MKSTREAM");
    const lost = (await redis.xadd(queue, "*", "t", entry)) as string;
    const torn = (await redis.xadd(queue, "*", "t", entry)) as string;
    await redis.xreadgroup("GROUP", GROUP, "x", "COUNT", 2, "STREAMS", queue, ">");
    await redis.xack(queue, GROUP, lost);
    await redis.xdel(queue, torn);
    const queued = (await redis.xadd(queue, "*", "t", entry)) as string;
    const timer = `emit|${gone}|1|0||2|${queue}`;
    await redis.zadd(keys.timers, Date.now() + 3_600_000, timer);
    await redis.rpush(keys.held(gone), "x");
    await redis.hset(keys.signals(gone), "n", 1);
    await redis.hset(keys.blobs(gone), "x", "y");
    await redis.hset(keys.run(`${gone}!0`), "by", "x");
    await redis.sadd(keys.maps(gone), `${gone}!0`);
    await redis.zadd(keys.paused, 1, gone);
    const found = (await on.drifts()).filter(({ key, runId }) => runId === gone || key === queue);
    const told = found.map(({ kind, key, member, harmless }) => {
      return [kind, member ?? key, harmless ?? false].join(" ");
    });
    expect(told.sort()).toEqual(
      [
        `orphan_entry ${lost} false`,
        `orphan_entry ${queued} true`,
        `orphan_pending ${torn} false`,
        `orphan_timer ${timer} false`,
        `orphan_listed ${gone} false`,
        ...[keys.held(gone), keys.signals(gone), keys.blobs(gone), keys.maps(gone)].map(
          (key) => `orphan_key ${key} false`,
        ),
        `orphan_key ${keys.run(`${gone}!0`)} false`,
      ].sort(),
    );
    const report = await repairDrifts(on.audit, on.scripts, found);
    expect(report).toMatchObject({ repaired: [], failed: [], removed: 10 });
    const left = (await on.drifts()).filter(({ key, runId }) => runId === gone || key === queue);
    expect(left).toEqual([]);
    await redis.del(queue);
  });

  it("orphan_listed: a name on the list of what is to be released, without its run", async () => {
    const { redis } = on.engine;
    // Whoever releases leaves it: it is on the list until a run of this name has a row that has ended.
    await redis.zadd(keys.release, 1, gone);
    const listed = async (): Promise<Drift[]> =>
      (await on.drifts()).filter(({ runId }) => runId === gone);
    const found = await listed();
    const about = { kind: "orphan_listed", runId: gone, key: keys.release, member: gone };
    const drift = { ...about, is: "a run that is not there", expected: "none", remedy: "remove" };
    expect(found).toEqual([drift]);
    const report = await repairDrifts(on.audit, on.scripts, found);
    expect(report).toMatchObject({ repaired: [], failed: [], removed: 1 });
    expect(await listed()).toEqual([]);
    expect(await redis.zscore(keys.release, gone)).toBeNull();
  });

  it("is not what runs under way need", async () => {
    on.shut();
    const busy = line("chain", [fn("a"), fn("b")]);
    const ids = await Promise.all(Array.from({ length: 5 }, () => on.standing(busy, "a", "ready")));
    expect(await on.drifts()).toEqual([]);
    on.open();
    await Promise.all(ids.map((id) => on.engine.ended(id)));
    const parked = await on.standing(waits, "w", "waiting");
    expect(await on.drifts()).toEqual([]);
    await on.client.cancel(parked, "enough");
  });
});
