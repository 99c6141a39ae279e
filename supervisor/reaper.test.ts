/** What is left behind is removed by its age, and of ages there is one clock: the database's. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { IrNode } from "../compiler/ir.ts";
import { globalKeys, GROUP, partitionKeys } from "../sdk/internal.ts";
import {
  admitRuns,
  databaseTimeMs,
  insertBlobs,
  insertDefinitions,
  listWorkers,
  readBlobs,
  reportWorker,
} from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { Reaper } from "./reaper.ts";
import { chainIr, startContext, TestClock, type Supervised } from "./stack.fixture.ts";
import { noteNamespaces } from "./standing-namespaces.ts";

const HOUR_MS = 3_600_000;
const sha = (letter: string): string => letter.repeat(64);
const clock = new TestClock();
let supervised: Supervised;

beforeAll(async () => {
  supervised = await startContext({ clock });
});
afterAll(() => supervised.close());

it.each([
  ["ahead", 48],
  ["back", -48],
])("a supervisor whose clock is set %s removes what is old, and nothing else", async (_, hours) => {
  clock.setAheadMs = hours * HOUR_MS;
  const { stack, context } = supervised;
  const { db, redis } = stack;
  const nowMs = await databaseTimeMs(db);
  const oldMs = nowMs - 3 * HOUR_MS;
  for (const [id, lastSeenAtMs] of [
    ["young", nowMs],
    ["old", oldMs],
  ] as const) {
    const worker = { id, host: "h", pid: 1, queues: [], concurrency: 1, inFlight: 0 };
    await reportWorker(db, { ...worker, startedAtMs: oldMs, lastSeenAtMs });
    await redis.set(globalKeys.ir(id), "{}");
    await redis.zadd(globalKeys.irUse, lastSeenAtMs, id);
  }
  await insertBlobs(db, [{ runId: "nobody", sha256: sha("a"), text: "1" }]);
  await insertBlobs(db, [{ runId: "nobody", sha256: sha("b"), text: "1" }], oldMs);
  await new Reaper(context).look();
  expect((await listWorkers(db)).map(({ id }) => id)).toEqual(["young"]);
  expect(await redis.zrange(globalKeys.irUse, 0, -1)).toEqual(["young"]);
  expect([...(await readBlobs(db, [sha("a"), sha("b")])).keys()]).toEqual([sha("a")]);
});

describe("workflows that are used once", () => {
  /** More than two pages. */
  const COUNT = 2100;
  const hashes = Array.from({ length: COUNT }, (_, i) => `once-${i}`);
  const list = async (usedAtMs: number): Promise<void> => {
    await supervised.stack.redis.zadd(globalKeys.irUse, ...hashes.flatMap((h) => [usedAtMs, h]));
  };

  it("all go at the first look after their time, and those in use stay", async () => {
    clock.setAheadMs = 0;
    const { stack, context } = supervised;
    const irHash = hashes[COUNT - 1] as string;
    const of = { hash: irHash, name: "w", version: "1", source: null, createdAtMs: 1 };
    const row = {
      ...{ id: "01890000-0000-7000-8000-0000000000aa", tenant: "", workflow: "w", version: "1" },
      ...{ irHash, partition: 0, namespace: "", priority: "normal" as const, input: "null" },
      ...{ idempotencyKey: null, requestHash: "", createdAtMs: 1 },
    };
    await admitRuns(stack.db, [{ ...of, ir: JSON.stringify(chainIr(["a"])) }], [row]);
    await list((await databaseTimeMs(stack.db)) - 2 * HOUR_MS);
    await stack.redis.set(globalKeys.ir(hashes[0] as string), "{}");
    await stack.redis.set(globalKeys.ir(hashes[COUNT - 1] as string), "{}");
    await new Reaper(context).look();
    const left = await stack.redis.zrange(globalKeys.irUse, 0, -1);
    expect(left.filter((hash) => hash.startsWith("once-"))).toEqual([hashes[COUNT - 1]]);
    expect(await stack.redis.ttl(globalKeys.ir(hashes[0] as string))).toBeGreaterThan(0);
    expect(await stack.redis.ttl(globalKeys.ir(hashes[COUNT - 1] as string))).toBe(-1);
  });

  it("bring the names of their queues into the supervisor, once, and nothing else", async () => {
    const { stack, context } = supervised;
    const ir = chainIr(
      Array.from({ length: 30 }, (_, i) => `n${i}`),
      { queues: ["fn:outside"] },
    );
    (ir.nodes[7] as IrNode).body = chainIr(["b"], { queues: ["fn:inside"] });
    const define = (one: string): Parameters<typeof insertDefinitions>[1][number] => ({
      ...{ hash: one, name: "maps", version: "1", ir: JSON.stringify(ir), source: null },
      createdAtMs: 1,
    });
    await insertDefinitions(stack.db, hashes.map(define));
    await list(await databaseTimeMs(stack.db));
    let chars = 0;
    const asked = new Set<string>();
    const query: typeof stack.db.query = async (statement, values) => {
      const rows = await stack.db.query(statement, values);
      chars += JSON.stringify(rows).length;
      return rows as never;
    };
    const reaper = new Reaper({
      ...context,
      db: laidOver(stack.db, { query }),
      redis: laidOver(stack.redis, {
        xinfo: (_: string, key: string) => {
          asked.add(key);
          return Promise.resolve([]);
        },
      }),
    } as never);
    await reaper.look();
    const keys = partitionKeys(0);
    for (const queue of ["fn:inside", "fn:outside"]) {
      expect(asked).toContain(keys.queue(queue, "normal"));
      expect(asked).toContain(keys.entryQueue(queue, "low"));
    }
    expect(chars / COUNT).toBeLessThan(100);
    chars = 0;
    await reaper.look();
    expect(chars).toBeLessThan(1000);
  });
});

describe("consumers of workers that are gone, in queues of a standing namespace", () => {
  it.each([
    ["of which a worker has told", "ns:told:", "fn:served"],
    ["of which a run was started", "ns:noted:", "fn:listed"],
  ])("%s, are removed", async (_, namespace, name) => {
    const { stack, context } = supervised;
    const { db, redis } = stack;
    const key = partitionKeys(0).queue(`${namespace}${name}`, "normal");
    await redis.xgroup("CREATE", key, GROUP, "0", "MKSTREAM");
    await redis.xgroup("CREATECONSUMER", key, GROUP, "dead");
    const nowMs = await databaseTimeMs(db);
    if (name === "fn:served") {
      const queues = [`${namespace}${name}`];
      const worker = { id: "gone", host: "h", pid: 1, queues, concurrency: 1, inFlight: 0 };
      await reportWorker(db, { ...worker, startedAtMs: 1, lastSeenAtMs: nowMs - 3 * HOUR_MS });
    } else {
      const ir = chainIr(["a"], { queues: [name] });
      const of = { hash: "listed", name: "w", version: "1", source: null, createdAtMs: 1 };
      await insertDefinitions(db, [{ ...of, ir: JSON.stringify(ir) }]);
      await redis.zadd(globalKeys.irUse, nowMs, "listed");
      noteNamespaces(context, [namespace, "ns:run-0123456789ab:"]);
      await waitFor(async () => (await redis.exists(globalKeys.namespaces)) === 1);
      expect(await redis.zrange(globalKeys.namespaces, 0, -1)).toEqual([namespace]);
    }
    const asOld = laidOver(redis, {
      // Nobody can have been silent for so long in a test.
      xinfo: async (what: "CONSUMERS", at: string, group: string) => {
        const list = (await redis.xinfo(what, at, group)) as unknown[][];
        return list.map((flat) => flat.with(5, HOUR_MS));
      },
    });
    const reaper = new Reaper({ ...context, redis: asOld } as never);
    await waitFor(async () => {
      await reaper.look();
      return ((await redis.xinfo("CONSUMERS", key, GROUP)) as unknown[]).length === 0;
    });
  });
});

/** An object with some of its methods replaced. */
function laidOver<T extends object>(target: T, by: object): T {
  return new Proxy(target, {
    get: (_, name) => {
      const value: unknown = Reflect.get(name in by ? by : target, name);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
