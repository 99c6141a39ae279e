import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../sdk/index.ts";
import { startEngine, type Engine } from "../test/harness/engine.ts";
import { waitFor } from "../test/support/index.ts";
import { FunctionRegistry } from "../worker/index.ts";

const schema = { type: "object", properties: { paid: { type: "boolean" } }, required: ["paid"] };
const workflow = {
  name: "paid",
  nodes: [{ id: "w", type: "wait", config: { signal: "paid", schema } }],
  edges: [],
};

let engine: Engine;
let client: Client;

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker({ registry: new FunctionRegistry() });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

/** A run that waits, and its callback token. */
async function waiting(): Promise<{ runId: string; token: string }> {
  const runId = await client.submit({ workflow: workflow as never });
  const token = await waitFor(
    async () => (await client.status(runId)).nodes["w"]?.wait?.token ?? null,
  );
  return { runId, token };
}

async function call(
  token: string,
  init: RequestInit = {},
): Promise<{ status: number; body: { error?: { code: string; message: string } } }> {
  const url = `${engine.gateway.url()}/api/v1/callbacks/${token}`;
  const response = await fetch(url, { method: "POST", ...init });
  return { status: response.status, body: (await response.json()) as never };
}

describe("a callback", () => {
  it("answers the wait that its token belongs to, once", async () => {
    const { runId, token } = await waiting();
    const body = JSON.stringify({ paid: true });
    expect(await call(token, { body })).toEqual({
      status: 200,
      body: { run_id: runId, outcome: "delivered" },
    });
    expect(await engine.ended(runId)).toMatchObject({ status: "COMPLETED" });
    expect(await call(token, { body })).toMatchObject({
      body: { error: { code: expect.stringMatching(/GV_CALLBACK_USED|GV_RUN_ENDED/) as string } },
      status: 409,
    });
  });

  it("with an idempotency key may be repeated", async () => {
    const { token } = await waiting();
    const init = { body: '{"paid":false}', headers: { "idempotency-key": "k-1" } };
    const [first, second] = [await call(token, init), await call(token, init)];
    expect(first).toMatchObject({ status: 200, body: { outcome: "delivered" } });
    // Also if the run has ended by it meanwhile.
    expect(second).toMatchObject({ status: 200, body: { outcome: "repeated" } });
  });

  it("is refused with what is wrong with it, and the wait goes on", async () => {
    const { runId, token } = await waiting();
    for (const [status, code, init] of [
      [400, "GV_BAD_INPUT", { body: "{" }],
      [400, "GV_BAD_INPUT", { body: '{"paid":1}' }],
      [400, "GV_BAD_INPUT", { body: '{"paid":true,"sum":1e999}' }],
      [400, "GV_BAD_INPUT", { body: Buffer.from('{"paid":true,"by":"\xe4"}', "latin1") }],
      [413, "GV_SIGNAL_TOO_LARGE", { body: JSON.stringify({ paid: true, x: "x".repeat(90_000) }) }],
      [413, "GV_SIGNAL_TOO_LARGE", { body: " ".repeat(300_000) }],
    ] as const) {
      const { status: found, body } = await call(token, init);
      expect([found, body.error?.code], String(init.body).slice(0, 20)).toEqual([status, code]);
    }
    expect(await call("nobody")).toMatchObject({
      status: 404,
      body: { error: { code: "GV_CALLBACK_UNKNOWN" } },
    });
    expect(await call("%E0%A4%A", { body: "1" })).toMatchObject({ status: 404 });
    expect(await call(`${token}x`, { body: '{"paid":true}' })).toMatchObject({ status: 404 });
    const got = await fetch(`${engine.gateway.url()}/api/v1/callbacks/${token}`);
    expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"]);
    expect((await client.status(runId)).nodes["w"]?.status).toBe("waiting");
    await call(token, { body: '{"paid":true}' });
    await engine.ended(runId);
  });
});
