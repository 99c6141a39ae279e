/** X21: waiting for a run to reach a status, through a whole engine with its gateway. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type AwaitStatusOptions, type Client } from "../../sdk/client.ts";
import type { RunStatus } from "../../sdk/internal.ts";
import { readRun } from "../../sdk/postgres/index.ts";
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

/** Waits for the signal "go", then ends; or fails, if that comes with `false`. */
const workflow = {
  name: "awaited",
  nodes: [
    { id: "w", type: "wait", config: { signal: "go" } },
    { id: "ok", type: "pass" },
    { id: "no", type: "function", config: { function_name: "builtin.fail" } },
  ],
  edges: [
    { from: "w", to: "ok", condition: "output == true" },
    { from: "w", to: "no", condition: "output == false" },
  ],
};

async function waiting(): Promise<string> {
  const id = await client.submit({ workflow });
  await waitFor(async () => (await client.status(id)).nodes["w"]?.status === "waiting");
  return id;
}

function awaiting(id: string, options: Omit<AwaitStatusOptions, "gatewayUrl">): Promise<RunStatus> {
  const answer = client.awaitStatus(id, { gatewayUrl: engine.gateway.url(), ...options });
  answer.catch(() => undefined); // looked at later
  return answer;
}

describe("X21: awaiting a status", () => {
  it("returns with the status that the run has", async () => {
    const id = await waiting();
    const answer = awaiting(id, { status: ["RUNNING", "PAUSED"] });
    expect(await answer).toBe("RUNNING");
  });

  it("returns on the transition, also into a status that does not last", async () => {
    const id = await waiting();
    const answer = awaiting(id, { status: ["PAUSED", "FAILED"] });
    let isOver = false;
    void answer.finally(() => (isOver = true));
    // Before it is watched a pause may be over: there is one until it is heard.
    await waitFor(async () => {
      await client.operations.pause(id, { by: "ann" });
      await client.operations.resume(id, { by: "ann" });
      return isOver;
    });
    expect(await answer).toBe("PAUSED");
    await waitFor(async () => (await client.status(id)).status === "RUNNING");
  });

  it("returns with the end, and tells at once when that is another than was asked for", async () => {
    const [done, failed] = [await waiting(), await waiting()];
    const good = awaiting(done, { status: "COMPLETED" });
    const bad = awaiting(failed, { status: ["COMPLETED", "PAUSED"] });
    await client.signal(done, "go", true);
    await client.signal(failed, "go", false);
    expect(await good).toBe("COMPLETED");
    // No limit was given: without an answer at once there would be none.
    const error = { code: "GV_STATUS_UNREACHABLE", details: { status: "FAILED" } };
    await expect(bad).rejects.toMatchObject(error);
    const late = awaiting(failed, { status: "COMPLETED" });
    await expect(late).rejects.toMatchObject(error);
    expect(await awaiting(failed, { status: "FAILED" })).toBe("FAILED");
  });

  it("gives up after its time only, however long that is", async () => {
    const id = await waiting();
    const answer = awaiting(id, { status: "COMPLETED", timeoutMs: 30 * 86_400_000 });
    const row = client.ended(id, { timeoutMs: 30 * 86_400_000 });
    await client.signal(id, "go", true);
    expect(await answer).toBe("COMPLETED");
    expect((await row).status).toBe("COMPLETED");
  });

  it("gives up after its time with what the run is, and with its signal's reason", async () => {
    const id = await waiting();
    const answer = awaiting(id, { status: "COMPLETED", timeoutMs: 20 });
    await expect(answer).rejects.toMatchObject({
      ...{ code: "GV_AWAIT_TIMED_OUT", details: { status: "RUNNING" } },
    });
    const stop = new AbortController();
    const other = awaiting(id, { status: "COMPLETED", signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(other).rejects.toThrow("enough");
  });

  describe("of a run that ends before it begins, at once though it has no journal", () => {
    const PER_MINUTE = { rate_limit: { per_minute: 1 } };
    const limited = (on_conflict: string, more: object = {}): object => ({
      ...{ ...workflow, name: on_conflict },
      settings: { concurrency: { key: "one", limit: 1, on_conflict }, ...more },
    });
    const unreachable = (status: string): object => ({
      ...{ code: "GV_STATUS_UNREACHABLE", details: { status } },
    });
    const submit = (document: object, id?: string): Promise<string> =>
      client.submit({ workflow: document as never, ...(id !== undefined && { run_id: id }) });
    const queued = async (document: object): Promise<string> => {
      const id = await submit(document);
      expect((await readRun(engine.db, id))?.status).toBe("QUEUED");
      return id;
    };

    it("cancelled while it waits for its turn: also a feed that is open tells its end", async () => {
      await submit(limited("queue"));
      const id = await queued(limited("queue"));
      const feed = engine.follow(id);
      const answer = awaiting(id, { status: "RUNNING" });
      await client.cancel(id, "not wanted");
      await expect(answer).rejects.toMatchObject(unreachable("CANCELLED"));
      const told = await feed;
      expect(told.map(({ type }) => type)).toEqual(["snapshot", "end"]);
      expect(told[1]).toMatchObject({ status: "CANCELLED", error: { message: "not wanted" } });
      expect((await engine.follow(id)).at(-1)).toMatchObject({ type: "end", status: "CANCELLED" });
    });

    it("made room for a newer one", async () => {
      await submit(limited("cancel_running", PER_MINUTE));
      const id = await queued(limited("cancel_running", PER_MINUTE));
      const answer = awaiting(id, { status: "RUNNING" });
      await submit(limited("cancel_running", PER_MINUTE));
      await expect(answer).rejects.toMatchObject(unreachable("CANCELLED"));
    });

    it("rejected", async () => {
      await submit(limited("reject"));
      const id = "0192f000-0000-7000-8000-0000000000aa";
      await expect(submit(limited("reject"), id)).rejects.toMatchObject({
        code: "GV_CONCURRENCY_LIMIT",
      });
      await expect(awaiting(id, { status: "RUNNING" })).rejects.toMatchObject(
        unreachable("CANCELLED"),
      );
    });
  });

  it("is told of the begin of a run that had to wait for its turn", async () => {
    const settings = { concurrency: { key: "two", limit: 1 } };
    const first = await client.submit({ workflow: { ...workflow, settings } });
    const second = await client.submit({ workflow: { ...workflow, settings } });
    const answer = awaiting(second, { status: "RUNNING" });
    await client.cancel(first, "enough");
    expect(await answer).toBe("RUNNING");
  });

  it("says that there is no such run, and no gateway", async () => {
    const nobody = awaiting("nobody", { status: "COMPLETED" });
    await expect(nobody).rejects.toMatchObject({ code: "GV_RUN_NOT_FOUND" });
    const gatewayUrl = "http://127.0.0.1:1";
    await expect(
      client.awaitStatus(await waiting(), { status: "COMPLETED", gatewayUrl }),
    ).rejects.toMatchObject({ code: "GV_GATEWAY_UNAVAILABLE" });
  });
});
