/** Who repeats a decision is told what became of the approval. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { createClient, type Approval, type Client } from "../../sdk/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

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

async function asked(runId: string, state: Approval["state"] = "open"): Promise<Approval> {
  return waitFor(async () => (await client.approvals({ runId, state }))[0]);
}

const two = (more: object): object => ({
  name: "two",
  nodes: [
    { id: "ask", type: "human", config: { title: "Go?", required: 2 }, ...more },
    { id: "later", type: "wait", config: { signal: "go" } },
  ],
  edges: [{ from: "ask", to: "later", on: "always" }],
});

it("one of two has approved, the run was cancelled: his repeat is not told that it was approved", async () => {
  const runId = await client.submit({ workflow: two({}) as never });
  const { id } = await asked(runId);
  const ann = { actor: "ann", approved: true };
  expect(await client.decide(id, ann)).toMatchObject({ state: "open" });
  await client.cancel(runId);
  await asked(runId, "cancelled");
  await client.ended(runId);
  const again = await client.decide(id, ann).catch((error: unknown) => error);
  expect(again).toMatchObject({ code: "GV_APPROVAL_CLOSED" });
});

it("one of two has approved, the time is over, the run goes on: likewise", async () => {
  const runId = await client.submit({ workflow: two({ timeout_ms: 1500 }) as never });
  const { id } = await asked(runId);
  const ann = { actor: "ann", approved: true };
  expect(await client.decide(id, ann)).toMatchObject({ state: "open" });
  await asked(runId, "expired");
  const again = await client.decide(id, ann).catch((error: unknown) => error);
  expect(again).toMatchObject({ code: "GV_APPROVAL_CLOSED" });
});
