import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import calculateSlot from "cluster-key-slot";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startCluster, type TestCluster, type TestNode } from "../../test/support/redis-cluster.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { inTime } from "../in-time.ts";
import { partitionKeys } from "../keys.ts";
import { mergeViews, parseNodes, SLOTS, type ClusterNode } from "./cluster-nodes.ts";
import { clusterOf, connectionAt } from "./cluster-router.ts";
import { parseClusterUrl } from "./cluster-url.ts";
import { connectRedis } from "./connect.ts";
import type { Redis } from "ioredis";

const dir = mkdtempSync(join(tmpdir(), "gv-cluster-"));
let cluster: TestCluster;
let redis: Redis;

beforeAll(async () => {
  cluster = await startCluster({ dir });
  redis = connectRedis({ url: cluster.url }, "test");
  await redis.connect();
});
afterAll(async () => {
  redis.disconnect();
  await cluster.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe("the URL of a cluster", () => {
  it("names hosts, ports, user and password", () => {
    const { seeds, options } = parseClusterUrl("rediss-cluster://me:p%40ss@a:1,[::1]:2,c");
    expect(seeds).toEqual([
      { host: "a", port: 1 },
      { host: "::1", port: 2 },
      { host: "c", port: 6379 },
    ]);
    expect(options).toEqual({ username: "me", password: "p@ss", tls: {} });
  });

  it.each([
    "redis-cluster://",
    "redis-cluster://a:x",
    "redis-cluster://a,,b",
    "redis-cluster://a/1",
  ])("is refused when it is %s", (url) => {
    expect(() => parseClusterUrl(url)).toThrow(/redis-cluster:/);
  });
});

describe("the slots of partitions", () => {
  it.each([
    [16, 3, 6],
    [32, 3, 13],
    [64, 3, 22],
    [64, 4, 16],
    [128, 5, 29],
  ])(
    "spread: of %i partitions on %i primaries none has more than %i",
    (partitions, primaries, most) => {
      const counts = new Map<number, number>();
      for (let p = 0; p < partitions; p++) {
        const primary = Math.floor((calculateSlot(partitionKeys(p).meta) * primaries) / SLOTS);
        counts.set(primary, (counts.get(primary) ?? 0) + 1);
      }
      expect(Math.max(...counts.values())).toBe(most);
    },
  );
});

describe("the map of slots", () => {
  it("believes the claim of the higher epoch: a primary that stood still has an older one", () => {
    const line = (id: string, flags: string, epoch: number, slots: string): string =>
      `${id} 127.0.0.1:${id === "a" ? 1 : 2}@1,h-${id} ${flags} - 0 0 ${epoch} connected ${slots}\n`;
    const asked = { host: "x", port: 9 };
    const old = parseNodes(
      line("a", "myself,master", 1, "0-9 [3->-b]") + line("b", "slave", 1, ""),
      asked,
    );
    const now = parseNodes(
      line("a", "master,fail", 1, "") + line("b", "myself,master", 2, "0-9"),
      asked,
    );
    for (const views of [
      [old, now],
      [now, old],
    ] as ClusterNode[][][]) {
      const { nodes, owners } = mergeViews(views);
      expect(nodes[owners[3] ?? -1]?.address).toEqual({ host: "h-b", port: 2 });
      expect(owners[10]).toBe(-1);
    }
  });
});

describe("a cluster behind one connection", () => {
  it("takes commands to where their keys are", async () => {
    const keys = Array.from({ length: 50 }, (_, i) => `gv:ir:${i}`);
    await Promise.all(keys.map((key, i) => redis.set(key, i)));
    expect(await Promise.all(keys.map((key) => redis.get(key)))).toEqual(
      keys.map((_, i) => `${i}`),
    );
    for (let p = 0; p < 16; p++) {
      const { meta, ev } = partitionKeys(p);
      await redis.hset(meta, "p", p);
      const there = connectionAt(redis, meta);
      const [[, found]] = (await there.pipeline().hget(meta, "p").xlen(ev).exec()) as [
        [null, string],
      ];
      expect(found).toBe(String(p));
    }
  });

  it("refuses what belongs to one node", async () => {
    await expect(redis.time()).rejects.toThrow(/connectionAt/);
    expect(() => redis.pipeline()).toThrow(/connectionAt/);
  });

  it("knows the nodes and how many slots are served", async () => {
    await waitFor(() => clusterOf(redis)?.coverage() === SLOTS);
    expect(clusterOf(redis)?.nodes.filter(({ isPrimary }) => isPrimary)).toHaveLength(3);
  });
});

describe("a node that stands still", () => {
  it("keeps no new connection from the keys of the others", async () => {
    const [still, other] = cluster.nodes as [TestNode, TestNode];
    const ranges = (await other.view()).find(({ id }) => id === other.id)?.ranges ?? [];
    const isOthers = (key: string): boolean =>
      ranges.some(([from, to]) => calculateSlot(key) >= from && calculateSlot(key) <= to);
    const key = Array.from({ length: 50 }, (_, i) => `gv:ir:${i}`).find(isOthers) as string;
    still.freeze();
    try {
      // Which node a connection asks first is drawn by lot.
      for (let i = 0; i < 12; i++) {
        const mine = connectRedis({ url: cluster.url }, "test");
        await mine.connect();
        await expect(inTime<unknown>(mine.exists(key), 5000, "late")).resolves.not.toBe("late");
        mine.disconnect();
      }
    } finally {
      still.thaw();
    }
  });
});

describe("a slot that moves", () => {
  it("takes its connections along, blocked reads and pipelines too, in their order", async () => {
    const { ev, meta, timers } = partitionKeys(5);
    const slot = calculateSlot(meta);
    const from = await cluster.ownerOf(slot);
    const to = cluster.nodes.find((node) => node !== from) as typeof from;
    const connection = connectionAt(redis, meta);
    const blocking = connectRedis({ url: cluster.url }, "test", { at: ev });
    const first = (await connection.xadd(ev, "*", "n", "0")) as string;
    const heard: string[] = [];
    const reading = (async () => {
      let after = first;
      while (heard.length < 200) {
        const reply = await blocking.xread("COUNT", 50, "BLOCK", 1000, "STREAMS", ev, after);
        for (const [id, fields] of reply?.[0]?.[1] ?? []) {
          after = id;
          heard.push(fields[1] as string);
        }
      }
    })();
    const writing = (async () => {
      for (let i = 1; i <= 200; i++) {
        const pipeline = connection.pipeline();
        pipeline
          .xadd(ev, "*", "n", i)
          .zadd(timers, i, `t${i}`)
          .hset(meta, "last", i)
          .hget(meta, "last");
        const replies = (await pipeline.exec()) ?? [];
        expect(replies.map(([error]) => error)).toEqual([null, null, null, null]);
        expect(replies[3]?.[1]).toBe(String(i));
      }
    })();
    await cluster.moveSlot(slot, from, to);
    await cluster.moveSlot(slot, to, from);
    await cluster.moveSlot(slot, from, to);
    await Promise.all([writing, reading]);
    expect(heard).toEqual(Array.from({ length: 200 }, (_, i) => String(i + 1)));
    expect(await to.redis.zcard(timers)).toBe(200);
    blocking.disconnect();
  });
});
