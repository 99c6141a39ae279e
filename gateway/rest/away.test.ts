/** REST while what stands behind it is away, has too much to do, or the gateway itself stops. */
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Database, Statement } from "../../sdk/postgres/index.ts";
import { createGateway, type Gateway, type GatewayOptions } from "../index.ts";
import { startEngine, type Engine } from "../../test/harness/engine.ts";
import { waitFor } from "../../test/support/index.ts";
import { EngineClient } from "../engine-client.ts";
import { Submissions } from "./submissions.ts";

const logger = pino({ level: "silent" });
const held = { name: "held", nodes: [{ id: "w", type: "wait", config: { signal: "never" } }] };
let engine: Engine;

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker();
});
afterAll(() => engine.stop());

async function gatewayOn(more: Partial<GatewayOptions> = {}): Promise<Gateway> {
  const { redisUrl, db } = engine;
  const at = { host: "127.0.0.1", port: 0, redisUrl, db, partitions: 1, logger };
  const gateway = createGateway({ ...at, ...more });
  await gateway.start();
  return gateway;
}

async function submit(gateway: Gateway): Promise<{ response: Response; body: unknown }> {
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ workflow: held });
  const response = await fetch(`${gateway.url()}/api/v1/runs`, { method: "POST", headers, body });
  return { response, body: await response.json() };
}

describe("a submission that nobody takes in", () => {
  it("is answered in time with 503, when to try again, and the id that it will have", async () => {
    const gateway = await gatewayOn({ submitTimeoutMs: 100 });
    // The supervisor is away; what is asked for stays in the queue.
    await engine.supervisor.stop(5000);
    const { response, body } = await submit(gateway);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(body).toMatchObject({
      error: {
        code: "GV_INTAKE_UNAVAILABLE",
        details: {
          run_id: expect.any(String) as string,
          submission_id: expect.any(String) as string,
        },
      },
    });
    await gateway.stop(1000);
    await engine.stop();
    engine = await startEngine();
    await engine.worker();
  });

  it("is refused at once where as many wait as are taken", async () => {
    const client = new EngineClient({ redisUrl: engine.redisUrl, database: engine.db });
    const submissions = new Submissions(client, 1);
    const one = { workflow: held as never };
    const first = submissions.accept(one, undefined);
    await expect(submissions.accept(one, undefined)).rejects.toMatchObject({
      code: "GV_GATEWAY_BUSY",
    });
    await first;
    await submissions.accept(one, undefined);
    await client.stop();
  });
});

it("who waits for a result is told that there is none yet when the gateway stops", async () => {
  // Heard by the query that looks for the ends of those who wait.
  let isWaiting: () => void = () => undefined;
  const waits = new Promise<void>((resolve) => (isWaiting = resolve));
  const db = {
    ...engine.db,
    query: (statement: Statement, values?: unknown[]) => {
      void (statement.name === "runs_ended_among" && isWaiting());
      return engine.db.query(statement, values);
    },
  } as Database;
  const gateway = await gatewayOn({ db });
  const { body } = await submit(gateway);
  const { run_id: id } = body as { run_id: string };
  const waiting = fetch(`${gateway.url()}/api/v1/runs/${id}/result?wait=1m`);
  await waits;
  await gateway.stop(5000);
  const response = await waiting;
  expect([response.status, await response.json()]).toMatchObject([202, { run_id: id }]);
});

it("a run that is cancelled while the archive is behind is told of with 202", async () => {
  const own = await startEngine();
  await own.worker();
  const runId = await own.submit({ workflow: held });
  const address = `${own.gateway.url()}/api/v1/runs/${runId}`;
  const nodes = async (): Promise<{ [id: string]: { status: string } }> =>
    ((await (await fetch(address)).json()) as { nodes: { [id: string]: { status: string } } })
      .nodes;
  await waitFor(async () => (await nodes())["w"]?.status === "waiting");
  await own.supervisor.stop(5000);
  const response = await fetch(`${address}/cancel`, { method: "POST" });
  const body = (await response.json()) as { status: string };
  expect([response.status, body]).toEqual([202, { run_id: runId, status: "RUNNING" }]);
  // Nothing of it begins any more, though its row does not say so yet.
  const signal = await fetch(`${address}/signals/never`, { method: "POST" });
  expect(await signal.json()).toMatchObject({ error: { code: "GV_RUN_ENDED" } });
  await own.stop();
});
