/**
 * Somebody acts upon a run in place of whose keys something else stands: it is put back first. Where
 * nobody does so he is told of the run, and what to do; not what Redis says, alone.
 */
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createGateway } from "../../gateway/index.ts";
import { createClient, type Client } from "../../sdk/client.ts";
import { partitionKeys } from "../../sdk/internal.ts";
import type { Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";
import { Audited, waits } from "./audited.fixture.ts";

const keys = partitionKeys(0);
let on: Audited;
let engine: Engine;
let client: Client;

beforeAll(async () => {
  on = await Audited.start();
  ({ engine, client } = on);
});
afterAll(() => on.stop());

const waiting = (): Promise<string> => on.standing(waits, "w", "waiting");
const damage = (key: string): Promise<unknown> => engine.redis.set(key, "put here by hand");
const statusIs = (id: string, status: string): Promise<unknown> =>
  waitFor(async () => (await engine.redis.hget(keys.run(id), "s")) === status);

/** What people do to a run. */
const DONE: [string, (by: Client, id: string) => Promise<unknown>][] = [
  ["paused", ({ operations }, id) => operations.pause(id)],
  [
    "settled by hand",
    ({ operations }, id) => operations.intervene(id, "w", { action: "complete", by: "me" }),
  ],
  ["sent a signal", (by, id) => by.signal(id, "go")],
];

describe("a damaged run", () => {
  it.each(DONE)("is put back when it is %s", async (_, act) => {
    const id = await waiting();
    await damage(keys.run(id));
    await act(client, id);
    await client.operations.resume(id).catch(() => undefined);
    await client.signal(id, "go").catch(() => undefined);
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("is put back when it is resumed, whichever key it is", async () => {
    for (const keyOf of [keys.run, keys.held]) {
      const id = await waiting();
      await client.operations.pause(id);
      await waitFor(async () => (await client.status(id)).status === "PAUSED");
      await damage(keyOf(id));
      await client.operations.resume(id);
      await statusIs(id, "running");
      await client.signal(id, "go");
      expect((await engine.ended(id)).status).toBe("COMPLETED");
    }
  });

  it("that nobody puts back is told as that, by REST too", async () => {
    const { redisUrl, db } = engine;
    const hurried = { submitTimeoutMs: 300 };
    const other = await createClient({ redisUrl, database: db, ...hurried });
    const logger = pino({ level: "silent" });
    const at = { host: "127.0.0.1", port: 0, redisUrl, db, partitions: 1, logger };
    const gateway = createGateway({ ...at, ...hurried });
    await gateway.start();
    const id = await waiting();
    await engine.supervisor.stop(5000);
    await damage(keys.run(id));
    const message = expect.stringMatching(
      new RegExp(`^run ${id} has been damaged \\(.*WRONGTYPE.*gavotte why.*try again later$`),
    ) as string;
    const code = "GV_RUN_NOT_READY";
    const asked = [...DONE.map(([, act]) => act), DONE[0]?.[1] as never];
    for (const act of asked) {
      await expect(act(other, id)).rejects.toMatchObject({ code, message });
    }
    await expect(other.operations.resume(id)).rejects.toMatchObject({ code, message });
    for (const verb of ["pause", "resume"]) {
      const url = `${gateway.url()}/api/v1/runs/${id}/${verb}`;
      const answer = await fetch(url, { method: "POST" });
      expect(answer.status).toBe(503);
      expect(await answer.json()).toEqual({ error: { code, message } });
    }
    await gateway.stop(1000);
    await other.close();
  });
});
