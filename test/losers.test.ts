/** Losers of a join through a whole engine: what they asked, started and waited for, and Redis lost. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../sdk/index.ts";
import { listRuns } from "../sdk/postgres/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { publish } from "./harness/publish.ts";
import { emptyRedis, waitFor } from "./support/index.ts";

let engine: Engine;
let client: Client;

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker();
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const long = { name: "long", nodes: [{ id: "rest", type: "wait", config: { signal: "never" } }] };
/** The first of four goes on; then it waits, so that there is time to lose Redis. */
const race = {
  name: "race",
  nodes: [
    { id: "go", type: "wait", config: { signal: "go" } },
    { id: "ask", type: "human", config: { title: "may it?" } },
    { id: "child", type: "subworkflow", config: { workflow: "long" } },
    { id: "later", type: "delay", config: { delay_ms: 3_600_000 } },
    { id: "behind", type: "noop" },
    { id: "first", type: "noop", join: { mode: "any", cancel_losers: true } },
    { id: "end", type: "wait", config: { signal: "end" } },
  ],
  edges: [
    { from: "go", to: "first" },
    { from: "ask", to: "first" },
    { from: "child", to: "first" },
    { from: "later", to: "behind" },
    { from: "behind", to: "first" },
    { from: "first", to: "end" },
  ],
};

const statusesOf = async (runId: string): Promise<{ [node: string]: string }> => {
  const { nodes } = await client.status(runId);
  return Object.fromEntries(Object.entries(nodes).map(([id, { status }]) => [id, status]));
};

describe("losers of a join", () => {
  it("give up what they asked, started and waited for, and stay lost when Redis is", async () => {
    await publish(engine.db, long);
    const runId = await client.submit({ workflow: race });
    const waiting = ["go", "ask", "child", "later"];
    await waitFor(async () => {
      const now = await statusesOf(runId);
      return waiting.every((node) => now[node] === "waiting");
    });
    await client.signal(runId, "go", { won: true });
    await waitFor(async () => (await statusesOf(runId))["end"] === "waiting");
    const lost = { ask: "cancelled", child: "cancelled", later: "cancelled", behind: "cancelled" };
    const now = { go: "completed", first: "completed", ...lost };
    expect(await statusesOf(runId)).toMatchObject(now);
    await waitFor(async () => (await client.approvals({ runId, state: "cancelled" })).length === 1);
    await waitFor(async () => {
      const [child] = await listRuns(engine.db, { parent: runId, limit: 1 });
      return child?.status === "CANCELLED";
    });
    const text = `SELECT node FROM node_executions WHERE run_id = '${runId}' AND status = 'cancelled'`;
    const rows = await engine.db.query<{ node: string }>({ name: "losers", text });
    expect(rows.map(({ node }) => node).toSorted()).toEqual(["ask", "child", "later"]);

    await emptyRedis(engine.redis);
    await client.signal(runId, "end", {});
    expect(await client.ended(runId, { timeoutMs: 20_000 })).toMatchObject({ status: "COMPLETED" });
    expect(await statusesOf(runId)).toMatchObject({ ...now, end: "completed" });
  });
});
