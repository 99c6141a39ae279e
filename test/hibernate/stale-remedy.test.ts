/** What was found minutes ago is looked at again before it is removed: its run may be alive since. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/index.ts";
import { globalKeys, partitionKeys, ScriptRunner } from "../../sdk/internal.ts";
import { readRun } from "../../sdk/postgres/index.ts";
import { auditContext, findDrifts, repairDrifts } from "../../supervisor/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

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

it("what stood in a sleeping run's place is removed, not the run that has been woken since", async () => {
  const { redis, db } = engine;
  const id = await client.submit({ workflow: workflow as never });
  await waitFor(
    async () =>
      (await readRun(db, id))?.asleepSinceMs !== null && (await redis.exists(keys.run(id))) === 0,
    { timeoutMs: 30_000 },
  );
  await redis.set(keys.run(id), "put here by hand");
  const context = auditContext({ redis, db });
  const drifts = await findDrifts(context, 0, id); // the first of ten thousand
  expect(drifts).toMatchObject([{ kind: "key_foreign", remedy: "remove" }]);
  await client.signal(id, "go", 1); // wakes it; it waits for the next one
  await waitFor(async () => (await redis.hget(keys.run(id), "s").catch(() => "")) === "running");
  const deployment = (await redis.hget(globalKeys.deployment, "id")) as string;
  await repairDrifts(context, new ScriptRunner({ redis, deployment, partition: 0 }), drifts);
  expect(await redis.exists(keys.run(id))).toBe(1);
}, 60_000);
