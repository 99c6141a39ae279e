/** When a step is executed again, by whom, and when it no longer counts: on a whole engine. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../sdk/index.ts";
import { readJournal } from "../sdk/postgres/index.ts";
import { FunctionRegistry, type Worker } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { waitFor } from "./support/index.ts";

let engine: Engine;
let client: Client;
const workers: Worker[] = [];
/** Attempts by run, in order. */
const attempts: { [run: string]: number[] } = {};
const goOn: (() => void)[] = [];

const RETRY = { max_attempts: 4, backoff_ms: 40, backoff_multiplier: 2, max_backoff_ms: 100 };
const step = (function_name: string, more: object): object => ({
  ...{ id: "s", type: "function", config: { function_name } },
  ...more,
});
const submit = (name: string, node: object, more: object = {}): Promise<string> =>
  client.submit({ workflow: { name, nodes: [node], edges: [], ...more } as never });

beforeAll(async () => {
  engine = await startEngine();
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterEach(async () => {
  goOn.splice(0).forEach((go) => go());
  await Promise.all(workers.splice(0).map((worker) => worker.stop(2000)));
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

function registry(): FunctionRegistry {
  const functions = new FunctionRegistry();
  const told = (runId: string, attempt: number): void =>
    void (attempts[runId] ??= []).push(attempt);
  const failing = (more: object) => (context: { runId: string; attempt: number }) => {
    told(context.runId, context.attempt);
    throw Object.assign(new Error("no"), { code: "REFUSED", ...more });
  };
  functions.register("fails", failing({}));
  functions.register("fails_for_good", failing({ retryable: false }));
  functions.register("hangs", async ({ runId, attempt }) => {
    told(runId, attempt);
    await new Promise<void>((resolve) => goOn.push(resolve));
    return "late";
  });
  return functions;
}

async function work(id: string, more: object = {}): Promise<Worker> {
  const worker = await engine.worker({ registry: registry(), id, ...more });
  workers.push(worker);
  return worker;
}

async function failure(runId: string): Promise<{ code?: string; attempts?: number }> {
  const row = await client.ended(runId, { timeoutMs: 20_000 });
  expect(row.status).toBe("FAILED");
  return JSON.parse(row.error ?? "{}") as object;
}

/** What the worker says of what it still has is in the journal, if it is accepted: later runs are. */
async function saidLate(): Promise<void> {
  goOn.splice(0).forEach((go) => go());
  await waitFor(() => workers[0]?.inFlight() === 0);
  const later = await submit("later", { id: "e", type: "noop" });
  await client.ended(later, { timeoutMs: 20_000 });
}

/** Times and events of the journal. */
async function journal(runId: string) {
  const rows = await readJournal(engine.db, runId);
  return rows.map(({ transition, t }) => ({ ...transition, t }));
}

describe("X24: an attempt that failed", () => {
  it("is followed by the next after the wait of its formula, as often as it may", async () => {
    await work("formula");
    const id = await submit("formula", step("fails", { retry: { ...RETRY, jitter: 0 } }));
    expect(await failure(id)).toMatchObject({ code: "REFUSED", attempts: 4 });
    expect(attempts[id]).toEqual([1, 2, 3, 4]);
    const waits = (await journal(id)).filter(({ e }) => e === "node.retrying");
    expect(waits.map(({ due = 0, t }) => due - t)).toEqual([40, 80, 100]);
  });

  it("is followed by the same next one with another worker when its own is gone", async () => {
    const first = await work("first");
    const retry = { ...RETRY, backoff_ms: 600_000, max_backoff_ms: 600_000, jitter: 0 };
    const id = await submit("handed over", step("fails", { retry }));
    await waitFor(async () => (await journal(id)).some(({ e }) => e === "node.retrying"));
    await first.stop(0);
    await work("second");
    await client.operations.intervene(id, "s", { action: "retry", by: "ann" });
    await waitFor(
      async () => (await journal(id)).filter(({ e }) => e === "node.retrying").length > 1,
    );
    expect(attempts[id]).toEqual([1, 2]);
    await client.cancel(id);
  });
});

describe("X25: an error that another attempt would not mend", () => {
  it.each([
    ["that its handler says so of", "fails_for_good", {}],
    ["of a code that is not retried", "fails", { not_on: ["REFUSED"] }],
    ["of another code than those that are", "fails", { on: ["TIMEOUT"] }],
  ])("%s ends its node with the first", async (_, name, more) => {
    await work(`final-${name}-${Object.keys(more).join("")}`);
    const id = await submit("final", step(name, { retry: { ...RETRY, ...more } }));
    expect(await failure(id)).toMatchObject({ code: "REFUSED", attempts: 1 });
    expect(attempts[id]).toEqual([1]);
    expect((await journal(id)).map(({ e }) => e)).not.toContain("node.retrying");
  });
});

describe("X26: a handler that hangs", () => {
  it("fails at its node's limit, not before, and what it says later changes nothing", async () => {
    await work("node-limit");
    const id = await submit("limited", step("hangs", { timeout_ms: 300 }));
    const begunMs = performance.now();
    expect(await failure(id)).toMatchObject({ code: "TIMEOUT" });
    expect(performance.now() - begunMs).toBeGreaterThan(299); // the time is the subject: a lower bound
    const before = await journal(id);
    await saidLate();
    expect(await journal(id)).toEqual(before);
  });

  it("does not keep its run beyond the run's limit, and what it says later changes nothing", async () => {
    await work("run-limit");
    const id = await submit("deadline", step("hangs", {}), { settings: { timeout_ms: 400 } });
    expect((await client.ended(id, { timeoutMs: 20_000 })).status).toBe("FAILED");
    const before = await journal(id);
    const at = (event: string): number => before.find(({ e }) => e === event)?.t ?? 0;
    expect(at("run.failed") - at("run.started")).toBeGreaterThanOrEqual(400);
    await saidLate();
    expect(await journal(id)).toEqual(before);
  });
});
