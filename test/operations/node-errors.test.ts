/** Why a node failed is told of it in the run's report, also where an edge handled that. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { tellReport } from "../../cmd/commands/status.ts";
import type { Output } from "../../cmd/output.ts";
import { createClient, type Client } from "../../sdk/client.ts";
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

const fails = (id: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: "builtin.fail" } },
  ...more,
});

async function textOf(runId: string): Promise<string> {
  const lines: string[] = [];
  const table = (rows: string[][]): void => void lines.push(...rows.map((row) => row.join(" ")));
  const output = { line: (line: string) => lines.push(line), table };
  tellReport(output as unknown as Output, await client.status(runId));
  return lines.join("\n");
}

it("of a failure that an edge handled, of an approval that expired", async () => {
  const nodes = [
    fails("broken"),
    { id: "mended", type: "noop" },
    { id: "ask", type: "human", config: { title: "May it?" }, timeout_ms: 1 },
    { id: "late", type: "noop" },
  ];
  const edges = [
    { from: "broken", to: "mended", on: "error" },
    { from: "ask", to: "late", on: "error" },
  ];
  const runId = await client.submit({ workflow: { name: "handled", nodes, edges } as never });
  const { status, nodes: told } = await client.wait(runId, { timeoutMs: 20_000 });
  expect(status).toBe("COMPLETED");
  const error = { code: "FAILED", message: expect.any(String) as string };
  expect(told).toMatchObject({ broken: { status: "failed", error }, ask: { status: "failed" } });
  expect(told["ask"]).toMatchObject({ error: { code: "TIMEOUT" } });
  expect(told["mended"]).not.toHaveProperty("error");
  const text = await textOf(runId);
  expect(text).toMatch(/^ +broken failed FAILED: builtin.fail failed/m);
  expect(text).toMatch(/^ +ask failed TIMEOUT: nobody answered/m);
});

it("of the attempt before, while a node waits for the next", async () => {
  const retry = { max_attempts: 2, backoff_ms: 3_600_000 };
  const workflow = { name: "again", nodes: [fails("broken", { retry })] };
  const runId = await client.submit({ workflow: workflow as never });
  const node = await waitFor(async () => {
    const { broken } = (await client.status(runId)).nodes;
    return broken?.status === "retrying" ? broken : undefined;
  });
  expect(node).toMatchObject({ error: { code: "FAILED" } });
  await client.cancel(runId);
});
