/** Redis and a database of different deployments: nothing asked of the one is stored in the other. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startEngine, type Engine } from "../test/harness/engine.ts";
import { testDatabase, type TestDatabase } from "../test/support/index.ts";
import { createClient, type Client } from "./client.ts";
import { globalKeys } from "./keys.ts";
import { connectPostgres, ensureDeployment } from "./postgres/index.ts";

let engine: Engine;
const databases: TestDatabase[] = [];
const clients: Client[] = [];
const workflow = { name: "w", nodes: [{ id: "w", type: "wait", config: { signal: "go" } }] };
const MISMATCH = { code: "GV_PARTITION_MISMATCH" };

beforeAll(async () => {
  engine = await startEngine();
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await engine.stop();
  await Promise.all(databases.map((database) => database.close()));
});

async function clientOn(database: Parameters<typeof createClient>[0]["database"]): Promise<Client> {
  const client = await createClient({ redisUrl: engine.redisUrl, database });
  clients.push(client);
  return client;
}

describe("a client whose database is not that of its Redis", () => {
  it("submits nothing and is told no deployment, be the database another's or nobody's", async () => {
    const other = await testDatabase();
    databases.push(other);
    const db = other.connect();
    const client = await clientOn(db);
    const { submissions } = globalKeys;
    const before = await engine.redis.xinfo("STREAM", submissions);
    await expect(client.submit({ workflow })).rejects.toMatchObject(MISMATCH);
    await ensureDeployment(db, { id: "another", partitions: 1, layout: 1 });
    await expect(client.submit({ workflow })).rejects.toMatchObject({
      ...MISMATCH,
      message: expect.stringContaining("the database to another;") as string,
    });
    await expect(client.deployment(60_000)).rejects.toMatchObject(MISMATCH);
    expect(await engine.redis.xinfo("STREAM", submissions)).toEqual(before);
  });

  it("is not told from one whose database is away: what was possible without it still is", async () => {
    const db = connectPostgres({ url: "postgres://nobody@127.0.0.1:1/none" });
    const client = await clientOn(db);
    expect((await client.deployment()).id).not.toBe("");
    await db.close();
  });
});
