/** What was found minutes ago is looked at again before it is removed: its run may be alive since. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/index.ts";
import {
  globalKeys,
  partitionKeys,
  ScriptRunner,
  type Drift,
  type Redis,
} from "../../sdk/internal.ts";
import { readRun } from "../../sdk/postgres/index.ts";
import {
  auditContext,
  findDrifts,
  repairDrifts,
  type RepairReport,
} from "../../supervisor/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { intercepted, waitFor } from "../support/index.ts";

const keys = partitionKeys(0);
let engine: Engine;
let client: Client;

beforeAll(async () => {
  engine = await startEngine({ hibernateAfterMs: 3000 });
  await engine.worker();
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const gate = (id: string): object => ({ id, type: "wait", config: { signal: "go" } });
const workflow = { name: "s", nodes: [gate("a"), gate("b")], edges: [{ from: "a", to: "b" }] };

const statusOf = (id: string): Promise<string | null> =>
  engine.redis.hget(keys.run(id), "s").catch(() => "");

/** A run that sleeps; something else stands in its place. */
async function asleep(): Promise<string> {
  const id = await client.submit({ workflow: workflow as never });
  await waitFor(
    async () =>
      (await readRun(engine.db, id))?.asleepSinceMs !== null && (await statusOf(id)) === null,
    { timeoutMs: 30_000 },
  );
  await engine.redis.set(keys.run(id), "put here by hand");
  return id;
}

async function awake(id: string): Promise<void> {
  await client.signal(id, "go", 1); // wakes it; it waits for the next one
  await waitFor(async () => (await statusOf(id)) === "running");
}

async function repairWith(redis: Redis, drifts: readonly Drift[]): Promise<RepairReport> {
  const deployment = (await engine.redis.hget(globalKeys.deployment, "id")) as string;
  const scripts = new ScriptRunner({ redis, deployment, partition: 0 });
  return repairDrifts(auditContext({ redis, db: engine.db }), scripts, drifts);
}

it("what stood in a sleeping run's place is removed, not the run that has been woken since", async () => {
  const { redis, db } = engine;
  const id = await asleep();
  const drifts = await findDrifts(auditContext({ redis, db }), 0, id); // the first of ten thousand
  expect(drifts).toMatchObject([{ kind: "key_foreign", remedy: "remove" }]);
  await awake(id);
  expect(await repairWith(redis, drifts)).toMatchObject({ removed: 0 });
  expect(await redis.exists(keys.run(id))).toBe(1);
}, 60_000);

it("nor one that is woken between the last look and the removal", async () => {
  const { redis, db } = engine;
  const id = await asleep();
  const drifts = await findDrifts(auditContext({ redis, db }), 0, id);
  let isWoken = false;
  const late = intercepted(redis, (name, call) =>
    name !== "unlink" && name !== "evalsha"
      ? call
      : async (...args) => {
          await (!isWoken && awake(id));
          isWoken = true;
          return call(...args);
        },
  );
  expect(await repairWith(late, drifts)).toMatchObject({ removed: 0 });
  expect(isWoken).toBe(true);
  expect(await statusOf(id)).toBe("running");
}, 60_000);
