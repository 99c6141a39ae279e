/** Runs that wait, redriven: what had ended a wait before counts for nobody after it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../../compiler/ir.ts";
import { createClient, type Client } from "../../sdk/client.ts";
import { partitionKeys } from "../../sdk/internal.ts";
import { auditContext } from "../../supervisor/audit/audit.ts";
import { findDrifts } from "../../supervisor/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { emptyRedis, waitFor } from "../support/index.ts";

let engine: Engine;
let client: Client;
/** Runs whose flaky steps work by now. */
const healed = new Set<string>();
/** Lets steps that hang go on. */
const going: (() => void)[] = [];
const keys = partitionKeys(0);

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  const flaky = (runId: string): Json => {
    if (!healed.has(runId)) {
      throw new Error("no luck");
    }
    return "done";
  };
  registry.register("flaky", ({ runId }) => flaky(runId));
  registry.register("slow", async ({ runId }) => {
    await new Promise<void>((resolve) => going.push(resolve));
    return flaky(runId);
  });
  await engine.worker({ registry });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  going.forEach((go) => go());
  await client.close();
  await engine.stop();
});

const SLOW = { id: "x", type: "function", config: { function_name: "slow" } };
const FLAKY = { id: "x", type: "function", config: { function_name: "flaky" } };
const HUMAN = { id: "h", type: "human", config: {} };
const wait = (id: string, signal: string): object => ({ id, type: "wait", config: { signal } });
const edges = (...pairs: string[]): object[] =>
  pairs.map((pair) => ({ from: pair.split(">")[0], to: pair.split(">")[1] }));
const submit = (workflow: object): Promise<string> =>
  client.submit({ workflow: workflow as never });
const statusOf = async (runId: string, node: string): Promise<string | undefined> =>
  (await client.status(runId)).nodes[node]?.status;
const openApproval = (runId: string): Promise<string> =>
  waitFor(async () => (await client.approvals({ runId, state: "open", limit: 9 }))[0]?.id);

/** Fails, is redriven, and x works from then on. */
async function redrive(runId: string): Promise<void> {
  expect((await engine.ended(runId)).status).toBe("FAILED");
  healed.add(runId);
  await client.operations.redrive(runId, { by: "ann" });
}

describe("B8: a redrive of a run that waits", () => {
  it("has a wait that had been over wait anew, also after the loss of Redis", async () => {
    const runId = await submit({ name: "two", nodes: [wait("w", "go"), SLOW], edges: [] });
    await waitFor(async () => (await statusOf(runId, "w")) === "waiting" && going.length === 1);
    await client.operations.pause(runId);
    await client.signal(runId, "go", "of before", { id: "one" });
    going.splice(0).forEach((go) => go()); // fails beside the wait, which is over and held
    expect((await engine.ended(runId)).status).toBe("FAILED");
    await client.operations.pauseWorkflow({ name: "two" });
    await client.operations.redrive(runId, { by: "ann" });
    await waitFor(async () => (await client.status(runId)).status === "PAUSED");
    await emptyRedis(engine.redis);
    const isBack = async (): Promise<boolean> =>
      (await engine.redis.hget(keys.run(runId), "s")) === "paused";
    await waitFor(isBack, { timeoutMs: 10_000 });
    await client.operations.resumeWorkflow({ name: "two" });
    const is = await waitFor(
      async () => {
        const status = (await statusOf(runId, "w")) ?? "";
        return ["waiting", "completed"].includes(status) ? status : undefined;
      },
      { timeoutMs: 10_000 },
    );
    expect(is).toBe("waiting");
  }, 40_000);

  it("that keeps an approval is what its journal says", async () => {
    const runId = await submit({
      name: "kept",
      nodes: [HUMAN, FLAKY, wait("w", "go")],
      edges: edges("h>x", "x>w"),
    });
    await client.decide(await openApproval(runId), { approved: true, actor: "ann" });
    await redrive(runId);
    await waitFor(async () => (await statusOf(runId, "w")) === "waiting");
    const context = auditContext({ redis: engine.redis, db: engine.db });
    expect(await findDrifts(context, 0, runId)).toEqual([]);
  });

  it("asks anew where it had asked: what is decided then is not said of the approval of before", async () => {
    const runId = await submit({
      name: "asked-again",
      nodes: [HUMAN, wait("s", "go"), FLAKY],
      edges: edges("s>x"),
    });
    const first = await openApproval(runId);
    await client.signal(runId, "go", 1);
    await redrive(runId);
    const second = await openApproval(runId);
    expect(second).not.toBe(first);
    await client.decide(second, { approved: true, actor: "bob" });
    expect((await engine.ended(runId)).status).toBe("COMPLETED");
    const all = await client.approvals({ runId, limit: 9 });
    const said = all.map(({ id, state, decisions }) => [id, `${state} ${decisions.length}`]);
    expect(Object.fromEntries(said)).toEqual({ [first]: "cancelled 0", [second]: "approved 1" });
    const late = client.decide(first, { approved: true, actor: "bob" });
    await expect(late).rejects.toMatchObject({ code: "GV_APPROVAL_CLOSED" });
  });
});
