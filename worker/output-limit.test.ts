/** Outputs of runs and of elements have the bound that those of nodes have. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { createClient, type Client } from "../sdk/client.ts";
import { readRun } from "../sdk/postgres/index.ts";
import { startEngine, type Engine } from "../test/harness/engine.ts";
import { waitFor } from "../test/support/index.ts";

const BYTES_MAX = 50_000;
const HALF = "x".repeat(30_000);
const TWICE = ["${input}", "${input}"];
let engine: Engine;
let client: Client;

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker({ outputBytesMax: BYTES_MAX });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

async function errorOf(workflow: object, input: string | string[]): Promise<string | null> {
  const id = await client.submit({ workflow: workflow as never, input });
  const row = await waitFor(async () => {
    const found = await readRun(engine.db, id);
    return found !== null && found.endedAtMs !== null ? found : null;
  });
  expect(row.status).toBe("FAILED");
  return row.error;
}

const one = { id: "a", type: "function", config: { function_name: "builtin.echo", params: 1 } };

it("fails a run whose output template gives more than is kept", async () => {
  const workflow = { name: "large", nodes: [one], output: TWICE };
  expect(await errorOf(workflow, HALF)).toContain('"code":"TOO_LARGE"');
});

it("fails an element whose output template gives more than is kept", async () => {
  const config = { items: "${input}", do: { nodes: [one], output: ["${item}", "${item}"] } };
  const workflow = { name: "elements", nodes: [{ id: "m", type: "map", config }] };
  expect(await errorOf(workflow, [HALF])).toContain("TOO_LARGE");
});
