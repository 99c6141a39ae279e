/** A run that has gone round for months: more rows of journal than anybody reads at once. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Json } from "../compiler/ir.ts";
import { partitionKeys } from "../sdk/internal.ts";
import { askToWake } from "../sdk/postgres/index.ts";
import { emptyRedis, intercepted, waitFor } from "../test/support/index.ts";
import { SleepStage } from "./sleep.fixture.ts";

const keys = partitionKeys(0);
const wait = (id: string): { [key: string]: Json } => ({
  id,
  type: "wait",
  config: { signal: id },
});
const WORKFLOW = {
  name: "long",
  nodes: [wait("a"), wait("b")],
  edges: [{ from: "a", to: "b" }],
};
/** Further than any test's journal goes. */
const SEQS = 50_000;
let stage: SleepStage;
let runId = "";
beforeAll(async () => {
  stage = await SleepStage.open(async (client) => {
    runId = await client.submit({ workflow: WORKFLOW });
    await waitFor(async () => (await client.status(runId)).nodes["a"]?.status === "waiting");
  });
  await stage.releaser.start();
});
afterAll(() => stage.close());

/** As blocks leave it from record `from` on that say something of the run and change nothing. */
async function lengthenJournal(from: number, rows: number, bytes = 0): Promise<void> {
  const { db, redis } = stage.engine;
  await stage.holdArchive();
  const text = `INSERT INTO journal (partition, run_id, seq_from, seq_to, t_from, t_to, transitions)
    SELECT 0, $1, i, i, 1, 1,
      '[["' || i || '.0",1,{"e":"counter.adjusted","d":0,"c":1,"why":"' || repeat('x', $4) || '"}]]'
    FROM generate_series($2::integer, $2 + $3::integer - 1) AS i`;
  await db.query({ name: "lengthen", text }, [runId, from, rows, bytes]);
  await db.query({ name: "move", text: "UPDATE cursors SET seq = $1" }, [from + SEQS]);
  await redis.hset(keys.meta, "seq", from + SEQS);
  await stage.archive();
}

it("a run with any number of journal rows is woken as it fell asleep", async () => {
  const { engine, client } = stage;
  const key = keys.run(runId);
  await lengthenJournal(1000, 10_001);
  await client.signal(runId, "a", 1);
  await waitFor(async () => (await engine.redis.hget(key, "n1"))?.startsWith("w"));
  expect(await stage.sleep(runId)).toBe("asleep");
  await stage.committed(runId);
  expect((await client.status(runId)).nodes["b"]?.status).toBe("waiting");
  expect((await stage.why(runId))?.reasons).toMatchObject([{ kind: "asleep" }, { node: "b" }]);
  await waitFor(async () => (await engine.redis.exists(key)) === 0);
  await askToWake(engine.db, [runId]);
  await stage.wake(runId);
  const [a, b] = await engine.redis.hmget(key, "n0", "n1");
  expect([a?.slice(0, 2), b?.slice(0, 2)]).toEqual(["c1", "w1"]);
});

it("a rebuild holds no more of all journals than a few pages at a time", async () => {
  const { engine, context } = stage;
  await lengthenJournal(100_000, 6, 3_000_000);
  let most = 0;
  const { db } = context;
  context.db = intercepted(db, (name, call) => async (...args) => {
    const rows = await call(...args);
    if (name === "query") {
      const texts = (rows as { transitions?: string }[]).map(({ transitions = "" }) => transitions);
      most = Math.max(most, texts.join("").length);
    }
    return rows;
  });
  const key = keys.run(runId);
  const before = await engine.redis.hmget(key, "n0", "n1");
  await emptyRedis(engine.redis);
  await waitFor(async () => (await engine.redis.hget(keys.meta, "epoch")) !== null);
  expect(await engine.redis.hmget(key, "n0", "n1")).toEqual(before);
  expect(most).toBeGreaterThan(6_000_000);
  expect(most).toBeLessThan(12_000_000);
  context.db = db;
});
